//! `shifted`: corrupted photographs in ImageNet-C's layout, `<corruption>/<severity>/<class>/<file>`, as it is published and as
//! `sncn-classify corrupt` writes it.

use crate::picture;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Severities have these names.
const SEVERITIES: [&str; 5] = ["1", "2", "3", "4", "5"];

/// A folder of one corruption at one severity, with both.
pub(crate) type Shifted = (String, usize, PathBuf);

/// The folders of corruptions and severities, sorted; nothing where the folder has another layout.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn shifted(path: &Path) -> Result<Vec<Shifted>> {
    let mut found = Vec::new();
    for corruption in picture::entries(path)?.into_iter().filter(|path| path.is_dir()) {
        let name = corruption.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (severity, known) in (1..).zip(SEVERITIES) {
            let folder = corruption.join(known);
            if folder.is_dir() {
                found.push((name.clone(), severity, folder));
            }
        }
    }
    Ok(found)
}

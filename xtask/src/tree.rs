//! The files of the tree, and the texts of its documentation.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of the pages that are written from results, and of their pictures.
pub(crate) const GENERATED: &str = "docs/results";

/// Whether a file is a page, or a picture of one that is written from results.
pub(crate) fn is_document(name: &str) -> bool {
    name.ends_with(".md") || name.starts_with(&format!("{}/", GENERATED))
}

/// The texts of the documentation, by path from the root.
///
/// # Errors
/// Where a folder cannot be read.
pub(crate) fn texts() -> Result<BTreeMap<String, String>> {
    let documents = tracked()?.into_iter().filter(|name| is_document(name));
    Ok(documents.filter_map(|name| Some((name.clone(), fs::read_to_string(name).ok()?))).collect())
}

/// The files of the tree: those git knows or would take, or, without git, all but what is built.
///
/// # Errors
/// Where a folder cannot be read.
pub(crate) fn tracked() -> Result<Vec<String>> {
    let git = Command::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output();
    let mut found: Vec<PathBuf> = match git {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(Path::new(""), &mut found)?;
            found
        }
    };
    found.sort();
    found.dedup();
    // a file may be tracked and just deleted
    let found = found.into_iter().filter(|path| path.is_file());
    Ok(found.map(|path| path.to_string_lossy().replace('\\', "/")).collect())
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let at = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in fs::read_dir(at).with_context(|| format!("{}: not readable", at.display()))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let built = ["target", ".git", "runs", "report", "data/cache"].iter().any(|name| path == Path::new(name));
        if entry.file_type()?.is_dir() && !built {
            walk(&path, found)?;
        } else if !built {
            found.push(path);
        }
    }
    Ok(())
}

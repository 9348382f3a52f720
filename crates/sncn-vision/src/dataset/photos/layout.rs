//! `read`: the parts of a folder of photographs, whichever of the known layouts it has.
//!
//! - `<class>/<file>`: one part without a name;
//! - `<part>/<class>/<file>`, where a part is called `train`, `val`, `test` or the like, or the run names parts (domains); a part may have
//!   all its classes in one folder, as Office-31 has `amazon/images/<class>`;
//! - Tiny-ImageNet's: `train/<wnid>/images/<file>` and `val/val_annotations.txt` beside `val/images/<file>`;
//! - a table of paths and labels, CSV or tab-separated.

use super::files::{Part, PhotoFiles};
use super::parts::Parts;
use super::paths;
use crate::picture::{self, ENDINGS, Listing};
use anyhow::{Context, Result, bail, ensure};
use sncn_train::text_file::{self, listed};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names that parts have, in lower case: of those trained on, kept for validation, and tested on.
pub(super) const TRAIN: [&str; 2] = ["train", "training"];
pub(super) const VALIDATION: [&str; 4] = ["val", "valid", "validation", "dev"];
pub(super) const TEST: [&str; 2] = ["test", "testing"];

/// Tiny-ImageNet's table of validation images.
const ANNOTATIONS: &str = "val_annotations.txt";

/// Reads the parts of a folder or of a table of paths.
///
/// # Errors
/// If there are no images, a class has none, two folders differ in case only, or a table does not fit.
pub(super) fn read(path: &Path, parts: &Parts) -> Result<Vec<Part>> {
    if path.is_file() {
        return paths::read(path);
    }
    let folders = folders(path)?;
    ensure!(
        !folders.is_empty(),
        "{}: no folders in it; <class>/<image> is looked for, or <part>/<class>/<image> with parts such as train and val, or a \
         table of paths and labels (CSV), which is given itself",
        path.display()
    );
    let is_part = |(name, _): &&(String, PathBuf)| {
        let name = name.to_lowercase();
        TRAIN.iter().chain(&VALIDATION).chain(&TEST).any(|known| *known == name)
    };
    let with_names: Vec<&(String, PathBuf)> = folders.iter().filter(is_part).collect();
    if parts.names_some() {
        return folders.iter().map(|(name, path)| Ok((name.clone(), part(path)?))).collect();
    }
    match with_names.is_empty() {
        true => {
            if !parts.nested {
                not_domains(path, &folders)?;
            }
            Ok(vec![(String::new(), classes(path, folders)?)])
        }
        false => with_names.into_iter().map(|(name, path)| Ok((name.clone(), part(path)?))).collect(),
    }
}

/// The folders in a folder by name, those of hidden and system files left out.
fn folders(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let inside = picture::entries(path).context("expected a folder of classes, <class>/<image>")?;
    let found: Vec<(String, PathBuf)> = inside.into_iter().filter(|path| path.is_dir()).map(|path| (name(&path), path)).collect();
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for (name, _) in &found {
        if let Some(other) = known.insert(name.to_lowercase(), name) {
            bail!("{}: the folders {other:?} and {name:?} differ in case only; join or rename them", path.display())
        }
    }
    Ok(found)
}

/// Refuses folders that all have folders of the same names and no images beside them: these are domains rather than classes.
fn not_domains(path: &Path, all: &[(String, PathBuf)]) -> Result<()> {
    let mut shared: Option<BTreeSet<String>> = None;
    for (_, folder) in all {
        let inside = picture::entries(folder)?;
        if inside.iter().any(|path| path.is_file() && picture::is_named_image(path)) {
            return Ok(());
        }
        let names: BTreeSet<String> = folders(folder)?.into_iter().map(|(name, _)| name).collect();
        shared = Some(shared.map_or_else(|| names.clone(), |shared| shared.intersection(&names).cloned().collect()));
    }
    let shared: Vec<String> = shared.unwrap_or_default().into_iter().collect();
    let names: Vec<&String> = all.iter().map(|(name, _)| name).collect();
    ensure!(
        all.len() < 2 || shared.len() < 2,
        "{}: {} each have the folders {}: if they are domains, name those to train on (data.train, as in --set data.train={}); if they \
         are classes, say so (--set data.nested=true)",
        path.display(),
        listed(&names),
        listed(&shared),
        names.first().map_or("", |name| name.as_str())
    );
    Ok(())
}

/// One part: Tiny-ImageNet's table, or class folders, which may all be in one folder.
fn part(path: &Path) -> Result<PhotoFiles> {
    let table = path.join(ANNOTATIONS);
    if table.is_file() {
        return annotated(path, &table);
    }
    let inside = folders(path)?;
    match inside.as_slice() {
        [(_, only)] if folders(only)?.len() > 1 => classes(only, folders(only)?),
        _ => classes(path, inside),
    }
}

/// Class folders, which are the classes in the order of their names, with the images in and below them.
fn classes(path: &Path, folders: Vec<(String, PathBuf)>) -> Result<PhotoFiles> {
    ensure!(!folders.is_empty(), "{}: no class folders; <class>/<image> is looked for in it", path.display());
    let (mut classes, mut files, mut all) = (Vec::new(), Vec::new(), Listing::default());
    for (name, folder) in folders {
        let found = picture::list(&folder, None)?;
        ensure!(!found.images.is_empty(), "{}: no images ({})", folder.display(), ENDINGS.join(", "));
        files.push(found.images.clone());
        all.add(found);
        classes.push(name);
    }
    Ok(PhotoFiles::new(path.display().to_string(), classes, files, all.remark().into_iter().collect()))
}

/// The images of `images/` with the wnids that the table gives them: lines of a file's name, a wnid and a box, tab-separated.
fn annotated(path: &Path, table: &Path) -> Result<PhotoFiles> {
    let (mut found, at): (BTreeMap<String, Vec<PathBuf>>, _) = (BTreeMap::new(), table.display());
    let mut missing = Vec::new();
    for (number, line) in (1..).zip(text_file::read(table)?.text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split('\t');
        let (Some(file), Some(wnid)) = (fields.next(), fields.next()) else {
            bail!("{at}: line {number} is {}; the name of a file, a tab and a wnid are expected", text_file::quoted(line))
        };
        let file = path.join("images").join(file.trim());
        if !file.is_file() {
            missing.push(file.display().to_string());
        }
        found.entry(wnid.trim().to_string()).or_default().push(file);
    }
    ensure!(missing.is_empty(), "{at}: {} of its files are not there: {}", missing.len(), listed(&missing));
    ensure!(!found.is_empty(), "{at}: no lines");
    let (classes, files) = found.into_iter().unzip();
    Ok(PhotoFiles::new(path.display().to_string(), classes, files, Vec::new()))
}

//! `stems`: what is made of several files gets a name of its own for each.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The names of files without their endings. Of names that differ in their endings alone all is kept: `a.jpg` and `a.png` stay so.
///
/// # Errors
/// If two files would still have one name.
pub(crate) fn stems(files: &[(PathBuf, PathBuf)]) -> Result<Vec<PathBuf>> {
    let mut counts = BTreeMap::new();
    files.iter().for_each(|(_, name)| *counts.entry(name.with_extension("")).or_insert(0) += 1);
    let stem = |name: &Path| match counts.get(&name.with_extension("")) {
        Some(1) => name.with_extension(""),
        _ => name.to_path_buf(),
    };
    let mut taken: BTreeMap<PathBuf, &Path> = BTreeMap::new();
    for (file, name) in files {
        if let Some(other) = taken.insert(stem(name), file) {
            bail!(
                "what is made of {} and {} would have one name, {}: give them one after the other, with another --output, or rename one",
                other.display(),
                file.display(),
                stem(name).display()
            )
        }
    }
    Ok(files.iter().map(|(_, name)| stem(name)).collect())
}

/// A path with an ending added to what it has.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Vec<String>> {
        let files: Vec<_> = names.iter().map(|name| (Path::new("in").join(name), PathBuf::from(name))).collect();
        Ok(stems(&files)?.iter().map(|stem| stem.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn every_file_has_a_name_of_its_own_or_none_is_made() {
        assert_eq!(of(&["a.jpg", "b.png", "sub/a.png", "c.d.png"]).unwrap(), ["a", "b", "sub/a", "c.d"]);
        assert_eq!(of(&["a.jpg", "a.png", "b.png"]).unwrap(), ["a.jpg", "a.png", "b"]);
        // a file that is named as the whole name of another
        let error = of(&["a.jpg", "a.png", "a.jpg.bmp"]).unwrap_err().to_string();
        assert!(error.contains("in/a.jpg and in/a.jpg.bmp") && error.contains("--output"), "{error}");
        assert_eq!(with_ending(Path::new("x/a.b"), ".png"), Path::new("x/a.b.png"));
    }
}

//! `list`: the one place where folders are searched for image files. Hidden and system files are not looked at, a folder is visited
//! once however many links lead to it, and what is passed over is counted.

use super::open::ENDINGS;
use anyhow::{Context, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names of files and folders that systems and network drives leave beside images, besides those that begin with a dot, in lower case.
const SYSTEM: [&str; 9] = [
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "@eadir",
    "#recycle",
];

/// The image files of a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files, sorted by path.
    pub(crate) images: Vec<PathBuf>,
    /// How many other files have each ending; of files without one, the ending is empty.
    passed_over: BTreeMap<String, usize>,
}

impl Listing {
    /// A remark on the files that were passed over, if there were any: `36 files passed over: .pdf 12, .txt 24`.
    pub(crate) fn remark(&self) -> Option<String> {
        let kinds = self.passed_over.iter().map(|(ending, count)| match ending.as_str() {
            "" => format!("without an ending {count}"),
            ending => format!(".{ending} {count}"),
        });
        let count: usize = self.passed_over.values().sum();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} file{plural} passed over: {}", kinds.collect::<Vec<_>>().join(", ")))
    }

    /// Adds what another listing has.
    pub(crate) fn add(&mut self, other: Self) {
        self.images.extend(other.images);
        for (ending, count) in other.passed_over {
            *self.passed_over.entry(ending).or_default() += count;
        }
    }
}

/// Whether a file or folder is hidden, or left there by a system.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.starts_with('.') || SYSTEM.contains(&name.as_str())
}

/// The paths in a folder that are not hidden, sorted by name.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}: not readable", folder.display()))?;
    let mut paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| !is_hidden(path));
    paths.sort();
    Ok(paths)
}

/// Lists the image files in a folder and its sub-folders, but for what is below `except`, such as the command's own output.
///
/// # Errors
/// If a folder cannot be read.
pub(crate) fn list(folder: &Path, except: Option<&Path>) -> Result<Listing> {
    let mut visited: BTreeSet<PathBuf> = except.and_then(|path| path.canonicalize().ok()).into_iter().collect();
    let mut listing = Listing::default();
    collect(folder, &mut visited, &mut listing)?;
    Ok(listing)
}

/// The image files of files and folders that a user gives, each once, with their names: those below their folder. What is below
/// `output`, which the command writes, is none of them. Remarks on what was passed over are printed.
///
/// # Errors
/// If one is neither file nor folder, a folder has no images, or it is the output itself.
pub(crate) fn given(inputs: &[PathBuf], output: Option<&Path>) -> Result<Vec<(PathBuf, PathBuf)>> {
    let real = |path: &Path| path.canonicalize().ok();
    let (mut files, mut known) = (Vec::new(), BTreeSet::new());
    for input in inputs {
        let found = if input.is_dir() {
            ensure!(
                output.and_then(real).is_none_or(|output| real(input) != Some(output)),
                "{}: the output would go between the input's files: name another folder for it",
                input.display()
            );
            let listing = list(input, output)?;
            let remark = listing.remark();
            if listing.images.is_empty() {
                let remark = remark.map_or(String::new(), |remark| format!("; {remark}"));
                bail!("{}: no image files ({}){remark}", input.display(), ENDINGS.join(", "))
            }
            remark.into_iter().for_each(|remark| eprintln!("{}: {remark}", input.display()));
            listing.images
        } else if input.exists() {
            vec![input.clone()]
        } else {
            bail!("{}: no such file or folder", input.display())
        };
        for file in found.into_iter().filter(|file| known.insert(real(file).unwrap_or_else(|| file.clone()))) {
            let name = file.strip_prefix(input).ok().filter(|name| !name.as_os_str().is_empty());
            let name = name.or_else(|| file.file_name().map(Path::new)).unwrap_or(&file).to_path_buf();
            files.push((file, name));
        }
    }
    Ok(files)
}

/// The ending of a file's name, in lower case.
fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// Whether a file has the ending of an image's name.
pub(crate) fn is_named_image(path: &Path) -> bool {
    ENDINGS.contains(&ending(path).as_str())
}

fn collect(folder: &Path, visited: &mut BTreeSet<PathBuf>, listing: &mut Listing) -> Result<()> {
    let real = folder.canonicalize().with_context(|| format!("{}: not readable", folder.display()))?;
    if !visited.insert(real) {
        return Ok(());
    }
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, visited, listing)?;
        } else if is_named_image(&path) {
            listing.images.push(path);
        } else {
            *listing.passed_over.entry(ending(&path)).or_default() += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &Path, listing: &Listing) -> Vec<String> {
        let name = |path: &PathBuf| path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
        listing.images.iter().map(name).collect()
    }

    #[test]
    fn hidden_and_system_files_are_not_looked_at_and_others_are_counted() {
        let folder = folder(&[
            "b.JPG",
            "a.png",
            "._a.png",
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "__MACOSX/c.png",
            "@eaDir/a.png",
            "Thumbs.DB",
            ".ipynb_checkpoints/d.png",
            "sub/e.webp",
            "notes.txt",
            "LICENSE",
            "sub/f.TXT",
        ]);
        let listing = list(folder.path(), None).unwrap();
        assert_eq!(names(folder.path(), &listing), ["a.png", "b.JPG", "sub/e.webp"]);
        assert_eq!(listing.remark().unwrap(), "3 files passed over: without an ending 1, .txt 2");
        let listing = list(folder.path(), Some(&folder.path().join("sub"))).unwrap();
        assert_eq!(names(folder.path(), &listing), ["a.png", "b.JPG"]);
        assert!(list(&folder.path().join("nowhere"), None).is_err());
    }

    #[test]
    fn files_and_folders_are_given_once_with_names_and_what_is_missing_is_told() {
        let folder = folder(&["a/x.png", "a/sub/y.jpg", "a/out/z.png", "b/notes.heic", "c.png"]);
        let at = |path: &str| folder.path().join(path);
        let files = given(&[at("a"), at("c.png"), at("a/x.png")], Some(&at("a/out"))).unwrap();
        let names: Vec<_> = files.iter().map(|(_, name)| name.to_string_lossy().replace('\\', "/")).collect();
        assert_eq!(names, ["sub/y.jpg", "x.png", "c.png"]);
        let error = |path: &str, output: &str| given(&[at(path)], Some(&at(output))).unwrap_err().to_string();
        assert!(error("nowhere", "o").contains("no such file or folder"));
        assert!(error("a", "a").contains("name another folder"));
        let none = error("b", "o");
        assert!(none.contains("no image files (png, ") && none.contains("1 file passed over: .heic 1"), "{none}");
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_visited_once_whatever_links_lead_to_it() {
        let folder = folder(&["a.png", "sub/b.png"]);
        for (link, to) in [("back0", "."), ("back1", "."), ("sub/up", ".."), ("again", "sub")] {
            std::os::unix::fs::symlink(to, folder.path().join(link)).unwrap();
        }
        let listing = list(folder.path(), None).unwrap();
        assert_eq!((listing.images.len(), listing.remark()), (2, None));
    }
}

//! Atomic writing of files, and looking at what lies at a path.

use sncn_weights::Content;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The folder of the file could not be created.
    #[error("{}: the folder cannot be made", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// The file could not be written.
    #[error("{}: could not be written; free space or choose another folder, then resume", .0.display())]
    File(PathBuf, #[source] io::Error),
}

/// How names of unfinished files begin; hidden, so that no folder of images or results has them.
const UNFINISHED: &str = ".partial-";
/// An unfinished file that nobody has written to for so long belongs to a program that was killed.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A name for an unfinished file that no other program or thread uses at the same time.
pub fn temporary() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{UNFINISHED}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes the unfinished files in a folder that programs left behind when they were killed.
pub(crate) fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && age.is_some_and(|age| age > ABANDONED) {
            // a failed removal does no harm
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Writes `bytes` to `path`, whole or not at all: under a temporary name in the same folder, then synced and renamed. Missing
/// folders are created. A link stays one, and the file that it leads to is written; what is no file, such as a terminal or a pipe, is
/// written to as it is.
///
/// # Errors
/// If the folder or the file cannot be written; an old file is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let given = path.to_path_buf();
    let unwritten = |error| WriteError::File(given.clone(), error);
    if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
        return File::options().write(true).open(path).and_then(|mut to| to.write_all(bytes)).map_err(unwritten);
    }
    let target = if path.is_symlink() { fs::canonicalize(path).map_err(unwritten)? } else { path.to_path_buf() };
    let path = target.as_path();
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| WriteError::Folder(folder.to_path_buf(), error))?;
    let temporary = folder.join(temporary());
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // elsewhere a folder cannot be opened as a file
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(|error| {
        // an unfinished file must not be mistaken for a result; a failed removal does no harm
        let _ = fs::remove_file(&temporary);
        unwritten(error)
    })
}

/// What lies at a path: the bytes of a file, or the names in a folder, sorted. What [`sncn_weights::Weights::open`] looks with.
///
/// # Errors
/// If there is nothing, or it cannot be read.
pub fn look(path: &Path) -> io::Result<Content> {
    if !path.is_dir() {
        return fs::read(path).map(Content::File);
    }
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names = fs::read_dir(path)?.map(name).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(Content::Folder(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn links_stay_and_what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(link.is_symlink() && fs::read(&file).unwrap() == b"new");
        fs::remove_file(&file).unwrap();
        assert!(write_atomically(&link, b"new").unwrap_err().to_string().contains("link"), "it leads nowhere");
        // /dev/null through a link of our own: were it replaced, only the link would be
        let null = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &null).unwrap();
        write_atomically(&null, b"gone").unwrap();
        assert!(null.is_symlink() && fs::read(&null).unwrap().is_empty());
    }

    #[test]
    fn long_names_are_written_and_only_abandoned_files_removed() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join(format!("{}.png", "n".repeat(251)));
        write_atomically(&long, b"1").unwrap();
        write_atomically(&long, b"2").unwrap();
        assert_eq!(fs::read(&long).unwrap(), b"2");
        let (old, new) = (folder.path().join(temporary()), folder.path().join(temporary()));
        for path in [&old, &new] {
            fs::write(path, "x").unwrap();
        }
        let before = std::time::SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&old).unwrap().set_modified(before).unwrap();
        remove_abandoned(folder.path());
        assert_eq!((long.is_file(), old.is_file(), new.is_file()), (true, false, true));
    }
}

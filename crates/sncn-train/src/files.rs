//! Atomic writing of files, and looking at what lies at a path.

use sncn_weights::Content;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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

/// Writes `bytes` to `path`, whole or not at all: under a temporary name in the same folder, then synced and renamed. Missing
/// folders are created.
///
/// # Errors
/// If the folder or the file cannot be written; an old file is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| WriteError::Folder(folder.to_path_buf(), error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.partial"));
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
        WriteError::File(path.to_path_buf(), error)
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

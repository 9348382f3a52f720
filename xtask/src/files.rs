//! Files: the root of the workspace, and writing a file whole or not at all.

use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints a line; a reader that has gone away (`| head`) neither stops the work nor fails it.
macro_rules! out {
    ($($arguments:tt)*) => { $crate::files::line(format_args!($($arguments)*)) };
}

/// Writes a line to standard output; what `out!` calls.
pub(crate) fn line(text: std::fmt::Arguments<'_>) {
    let Err(error) = writeln!(std::io::stdout(), "{text}") else { return };
    if error.kind() != std::io::ErrorKind::BrokenPipe && !UNWRITTEN.swap(true, Ordering::Relaxed) {
        eprintln!("error: standard output cannot be written: {error}");
    }
}

static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Whether a line could not be written to standard output, so that the command must not end well.
pub(crate) fn output_is_lost() -> bool {
    UNWRITTEN.load(Ordering::Relaxed)
}

/// Makes the root of the workspace the current folder, so that every path of the tree is relative to it, and returns the
/// folder the program was started in, which paths on the command line are relative to.
///
/// # Errors
/// Where no folder above is a workspace.
pub(crate) fn enter_workspace() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder is not readable")?;
    let is_root = |folder: &&Path| fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"));
    match here.ancestors().find(is_root) {
        Some(root) => std::env::set_current_dir(root).with_context(|| format!("{}: cannot be entered", root.display()))?,
        None => bail!("{}: no Cargo.toml with [workspace] here or above; run this inside the repository", here.display()),
    }
    Ok(here)
}

/// Writes `bytes` as `path`: under a temporary name beside it, synced, renamed. What is no file, such as a pipe, is written to as it is.
///
/// # Errors
/// Where the disk is full or the folder cannot be written; the old file, if any, is untouched.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        if fs::metadata(path).is_ok_and(|data| !data.is_file() && !data.is_dir()) {
            return File::options().write(true).open(path)?.write_all(bytes);
        }
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        readable_by_all(file.as_file())?;
        file.persist(path).map_err(|error| error.error)?;
        // elsewhere a folder cannot be opened as a file
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().with_context(|| format!("{}: could not be written; free space, or check the folder's permissions", path.display()))
}

/// Temporary files are private to their owner; results are not.
#[cfg(unix)]
fn readable_by_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// The names of the files `<folder>/*.<extension>`, without the extension, sorted; none where the folder is missing.
pub(crate) fn names(folder: &Path, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let fitting = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    let mut names: Vec<String> = fitting.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("new/a.md");
        write_atomically(&path, b"one")?;
        write_atomically(&path, b"two")?;
        assert_eq!(fs::read(&path)?, b"two");
        assert_eq!(fs::read_dir(folder.path().join("new"))?.count(), 1);
        assert_eq!(names(&folder.path().join("new"), "md"), ["a"]);
        Ok(())
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write_atomically(Path::new("/dev/null/a.md"), b"one").unwrap_err();
        assert!(format!("{error:#}").starts_with("/dev/null/a.md: could not be written"), "{error:#}");
    }
}

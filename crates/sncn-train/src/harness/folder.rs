//! The folder of a run, in which one process at a time trains.

use crate::checkpoint::{self, Checkpoint};
use anyhow::{Context, Result, bail};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

pub(super) struct RunFolder {
    path: PathBuf,
    /// Keeps other processes out until it is dropped, or the process ends however it may.
    lock: Option<File>,
}

impl RunFolder {
    /// That folder; it need not exist yet.
    ///
    /// # Errors
    /// Where another process trains there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut folder = Self { path: path.to_path_buf(), lock: None };
        folder.claim()?;
        Ok(folder)
    }

    /// The newest checkpoint, if any.
    ///
    /// # Errors
    /// If it is damaged.
    pub(super) fn newest(&self) -> Result<Option<Checkpoint>> {
        Ok(checkpoint::newest(&self.path)?)
    }

    /// The path to write to: from now on the folder exists and is this process's own.
    ///
    /// # Errors
    /// If it cannot be made, or another process trains there.
    pub(super) fn owned(&mut self) -> Result<&Path> {
        fs::create_dir_all(&self.path).with_context(|| format!("{}: cannot be made", self.path.display()))?;
        self.claim()?;
        Ok(&self.path)
    }

    /// Locks it, if it exists; nothing where the file system has no locks or cannot be written, which the first checkpoint would report.
    fn claim(&mut self) -> Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let file = File::options().create(true).truncate(false).write(true).open(self.path.join(".lock"));
        let Ok(file) = file else { return Ok(()) };
        match file.try_lock() {
            Ok(()) => self.lock = Some(file),
            Err(TryLockError::WouldBlock) => {
                bail!("{}: another process is training there; wait for it, or choose another --run-dir", self.path.display())
            }
            Err(TryLockError::Error(_)) => {}
        }
        Ok(())
    }
}

//! A checkpoint named on the command line, with the run in it.

use super::Run;
use crate::checkpoint::{self, Checkpoint, FORMAT, Header};
use anyhow::{Context, Result, bail};
use sncn_record::SeededRun;
use std::path::{Path, PathBuf};

/// Which checkpoint.
#[derive(clap::Args, Debug)]
pub struct Saved {
    /// Folder with the checkpoints of a finished run.
    #[arg(long, conflicts_with = "checkpoint")]
    run_dir: Option<PathBuf>,
    /// A checkpoint file.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

impl Saved {
    /// The folder it lies in.
    pub fn folder(&self) -> Option<&Path> {
        self.checkpoint.as_ref().map_or(self.run_dir.as_deref(), |file| file.parent())
    }

    /// Whether it is a folder without any checkpoint.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        self.run_dir.as_deref().map_or(Ok(false), |folder| Ok(checkpoint::list(folder)?.is_empty()))
    }

    /// Reads it; one of an unfinished run is warned of.
    ///
    /// # Errors
    /// Where there is none, or it is damaged.
    pub fn read(&self) -> Result<Checkpoint> {
        let saved = match (&self.run_dir, &self.checkpoint) {
            (_, Some(file)) => Checkpoint::read(file)?,
            (Some(folder), None) => return selected(folder),
            (None, None) => bail!("give --run-dir or --checkpoint"),
        };
        warn_if_unfinished(&saved);
        Ok(saved)
    }
}

fn warn_if_unfinished(saved: &Checkpoint) {
    if saved.header.step < saved.header.total {
        eprintln!("warning: this checkpoint is of step {} of {}", saved.header.step, saved.header.total);
    }
}

/// The checkpoint of a folder that counts: the newest, or the best on held-out examples where training looked at them.
fn selected(folder: &Path) -> Result<Checkpoint> {
    let last = newest(folder)?;
    warn_if_unfinished(&last);
    let best = folder.join(checkpoint::SELECTED);
    Ok(if best.is_file() { Checkpoint::read(&best)? } else { last })
}

/// The newest checkpoint in a folder.
///
/// # Errors
/// Where there is none, or it is damaged.
pub fn newest(folder: &Path) -> Result<Checkpoint> {
    checkpoint::newest(folder)?.with_context(|| format!("{}: no checkpoint; train first", folder.display()))
}

/// The header of weights that were not trained here, for a run made up to describe their network.
///
/// # Errors
/// Where the run cannot be written as JSON.
pub fn foreign(run: &Run, classes: Vec<String>) -> Result<Header> {
    let run = SeededRun { run: run.resolved()?, seed: 0 };
    Ok(Header { format: FORMAT, step: 0, total: 0, run, classes, held: Vec::new(), sha256: String::new() })
}

/// The run that a checkpoint is of, and its seed.
///
/// # Errors
/// Names the key that does not fit.
pub fn run_of(saved: &Checkpoint) -> Result<(Run, u64)> {
    let SeededRun { run, seed } = saved.header.run.clone();
    Ok((Run::read(run).context("the run in the checkpoint")?, seed))
}

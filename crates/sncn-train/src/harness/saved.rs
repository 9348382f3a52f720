//! A checkpoint named on the command line, with the run in it.

use super::task::{Rebuild, Task, Trained};
use super::{Run, card, table};
use crate::checkpoint::{self, Checkpoint, FORMAT, Header};
use anyhow::{Context, Result, bail, ensure};
use sncn_core::Network;
use sncn_record::{Build, SeededRun};
use std::path::{Path, PathBuf};

/// Which checkpoint.
#[derive(clap::Args, Debug)]
pub struct Saved {
    /// Folder with the checkpoints of a finished run.
    #[arg(long, conflicts_with = "checkpoint")]
    run_dir: Option<PathBuf>,
    /// A checkpoint file, or the name of a model of models/zoo.
    #[arg(long, alias = "model")]
    checkpoint: Option<PathBuf>,
}

impl Saved {
    /// The checkpoint at a path: a file, the one of a folder that counts, or a model of `models/zoo` by its name.
    pub fn at(path: &Path) -> Self {
        let path = path.to_path_buf();
        match path.is_dir() {
            true => Self { run_dir: Some(path), checkpoint: None },
            false => Self { run_dir: None, checkpoint: Some(path) },
        }
    }

    /// The folder it lies in.
    pub fn folder(&self) -> Option<&Path> {
        self.checkpoint.as_ref().map_or(self.run_dir.as_deref(), |file| file.parent())
    }

    /// Whether it is a folder without any checkpoint.
    ///
    /// # Errors
    /// If it is no folder, or cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        let Some(folder) = self.run_dir.as_deref() else { return Ok(false) };
        ensure!(!folder.is_file(), "{}: a file; --checkpoint takes it", folder.display());
        Ok(checkpoint::list(folder)?.is_empty())
    }

    /// Reads it; one of an unfinished run is warned of.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn read(&self) -> Result<Checkpoint> {
        let saved = match (&self.run_dir, &self.checkpoint) {
            (_, Some(file)) => card::checkpoint(file)?,
            (Some(folder), None) => return selected(folder),
            (None, None) => bail!("give --run-dir or --checkpoint"),
        };
        warn_if_unfinished(&saved);
        Ok(saved)
    }
}

/// The best epoch of a run with early stopping is not the last, and no less finished.
fn warn_if_unfinished(saved: &Checkpoint) {
    let is_selected = saved.path().file_name().is_some_and(|name| name == checkpoint::SELECTED);
    if saved.header.step < saved.header.total && !is_selected {
        eprintln!("warning: this checkpoint is of step {} of {}", saved.header.step, saved.header.total);
    }
}

/// The checkpoint of a folder that counts: the newest, or the best on the validation set where the run has early stopping.
fn selected(folder: &Path) -> Result<Checkpoint> {
    let last = newest(folder)?;
    warn_if_unfinished(&last);
    let best = folder.join(checkpoint::SELECTED);
    Ok(if best.is_file() { Checkpoint::read(&best)? } else { last })
}

/// The newest checkpoint in a folder.
///
/// # Errors
/// If there is none, or it is damaged.
pub fn newest(folder: &Path) -> Result<Checkpoint> {
    ensure!(folder.exists(), "{}: no such folder; correct the path, or train first", folder.display());
    checkpoint::newest(folder)?.with_context(|| format!("{}: no checkpoint; train first", folder.display()))
}

/// The header of weights that were not trained here, for a run made up to describe their network.
///
/// # Errors
/// If the run cannot be written as JSON.
pub fn foreign<T: Task>(run: &Run<T::Settings>, classes: Vec<String>) -> Result<Header> {
    Ok(Header {
        format: FORMAT,
        task: T::INFO.name.to_string(),
        step: 0,
        total: 0,
        run: SeededRun { run: run.resolved()?, seed: 0 },
        classes,
        validation: Vec::new(),
        epochs: Vec::new(),
        told: Vec::new(),
        built: Build::default(),
        sha256: String::new(),
    })
}

/// The run in a checkpoint.
///
/// # Errors
/// If it is of another task, or a key does not fit.
pub(super) fn run_of<T: Task>(checkpoint: &Checkpoint) -> Result<Run<T::Settings>> {
    let task = &checkpoint.header.task;
    ensure!(
        task.is_empty() || task == T::INFO.name,
        "{}: a checkpoint of the task {task:?}, and {} takes {:?}; {} takes it",
        checkpoint.path().display(),
        T::INFO.program,
        T::INFO.name,
        sncn_record::Task::of(task)?.program
    );
    table::read::<T>(checkpoint.header.run.run.clone()).context("the run in the checkpoint")
}

impl<T: Task> Trained<T> {
    /// The model that the command line names, with its weights.
    ///
    /// # Errors
    /// If there is no checkpoint, or it or a file that belongs beside it is damaged or of another task.
    pub fn read(saved: &Saved) -> Result<Self> {
        let folder = saved.folder().unwrap_or(Path::new("."));
        if saved.is_empty()?
            && let Some(trained) = T::elsewhere(folder)?
        {
            return Ok(trained);
        }
        Self::of(saved.read()?)
    }

    /// The model of a checkpoint, with the files that lie beside it.
    ///
    /// # Errors
    /// If a file that belongs beside it is damaged, or it is of another task or network.
    pub fn of(checkpoint: Checkpoint) -> Result<Self> {
        let folder = checkpoint.path().parent().unwrap_or(Path::new(""));
        let (run, seed) = (run_of::<T>(&checkpoint)?, checkpoint.header.run.seed);
        let rebuild = Rebuild { run: &run, seed, classes: &checkpoint.header.classes, folder };
        let (model, vars) = T::rebuild(&rebuild)?;
        checkpoint.load_weights(&vars)?;
        Ok(Self { header: checkpoint.header, run, seed, model, vars })
    }

    /// The network.
    pub fn network(&self) -> &dyn Network {
        T::network(&self.model)
    }
}

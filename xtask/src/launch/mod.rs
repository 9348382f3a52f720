//! Where the cells of a table are made: one after the other, several at a time on this machine, or by Slurm.

mod local;
mod part;
mod slurm;
mod status;
mod work;

pub(crate) use local::{Made, run as beside};
pub(crate) use part::Part;
pub(crate) use status::print;
pub(crate) use work::{Work, groups, name};

use anyhow::{Result, ensure};

/// What makes cells.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Launcher {
    /// This machine, `--jobs` cells at a time.
    Local,
    /// A cluster with Slurm: an array job, each cell a task.
    Slurm,
}

/// What makes cells, and how many at a time.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Launch {
    /// Make cells beside each other, their output in runs/TABLE/logs.
    #[arg(long, value_enum)]
    launcher: Option<Launcher>,
    /// Cells at a time of --launcher local, which share the threads.
    #[arg(short, long, value_name = "N", requires = "launcher", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    slurm: slurm::Options,
}

impl Launch {
    /// The number of cells at a time on this machine; nothing where they are made one after the other, or elsewhere.
    pub(crate) fn jobs(&self) -> Option<usize> {
        (self.launcher == Some(Launcher::Local)).then(|| self.jobs.map_or(2, usize::from))
    }

    /// Whether a cluster is to make the cells.
    pub(crate) fn is_slurm(&self) -> bool {
        self.launcher == Some(Launcher::Slurm)
    }

    /// Checks that what was given is for the launcher that was.
    ///
    /// # Errors
    /// Where an option is another launcher's.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.jobs.is_none() || !self.is_slurm(),
            "--jobs is for --launcher local; of Slurm --max-parallel says how many at a time"
        );
        let given = self.slurm.given();
        ensure!(given.is_none() || self.is_slurm(), "--{} is for --launcher slurm", given.unwrap_or_default());
        Ok(())
    }

    /// Hands cells to Slurm, each with these arguments of `reproduce`; with `dry` prints what would be handed over.
    ///
    /// # Errors
    /// Where Slurm is not there, or refuses.
    pub(crate) fn submit(&self, work: &Work<'_>, arguments: &[String], dry: bool) -> Result<()> {
        slurm::submit(&self.slurm, work, arguments, dry)
    }
}

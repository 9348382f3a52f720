//! `sncn-classify train`: trains one cell of a table, resuming where it stopped.

use super::setup::{self, TASK};
use crate::examples::Examples;
use anyhow::Result;
use sncn_train::harness::fit::{Fit, Job};

/// Train one row of a table with one seed; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Train {
    #[command(flatten)]
    fit: Fit,
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table, the data or a checkpoint does not fit, or training fails.
    pub fn run(&self) -> Result<()> {
        let Some(begun) = self.fit.start(TASK)? else { return Ok(()) };
        let run = &begun.run;
        let augment = setup::augment(run)?.unwrap_or_default();
        let splits = setup::open(&run.train, self.fit.data_dir())?;
        let classes = splits.train.classes().to_vec();
        let images = setup::limited(&splits.train, run.train_limit);
        let describe = images.describe();
        let (network, vars) = setup::network(run, classes.len(), self.fit.seed())?;
        let data = Examples::augmented(images, augment);
        self.fit.run(begun, &Job { network: &*network, vars: &vars, data: &data, classes, describe, held: None })
    }
}

//! `sncn-segment train`: trains one cell of a table, resuming where it stopped.

use super::examples::PairExamples;
use super::setup::{self, TASK};
use crate::dataset::pairs::PairSubset;
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
        let (transform, _) = setup::settings(run)?;
        let splits = setup::open(&run.train, self.fit.data_dir())?;
        let classes = splits.train.legend().classes.clone();
        let pairs = PairSubset::first(&splits.train, run.train_limit);
        let describe = pairs.describe();
        let (network, vars) = setup::network(run, classes.len(), self.fit.seed())?;
        let data = PairExamples::new(pairs).transformed(transform);
        self.fit.run(begun, &Job { network: &*network, vars: &vars, data: &data, classes, describe, held: None })
    }
}

//! The `bench` command: medians of whole steps, one JSON object a line; `cargo xtask bench` sets them beside a peer's.
//!
//! A training step of any row of a table is measured for every task; what else there is to measure a task lists as its [`Case`]s.

mod case;
mod meter;
mod profile;

pub use case::Case;
pub use meter::{Meter, emit, peak_memory};
pub use profile::profile;

use super::cli;
use super::table::Table;
use super::task::{Begin, Task};
use crate::ahead::read_ahead;
use crate::learner::Learner;
use crate::train::Gradient;
use anyhow::{Context, Result, bail, ensure};
use sncn_core::WeightAverage;
use std::path::PathBuf;

/// Measure whole steps; prints one JSON object a line.
#[derive(clap::Args, Debug)]
pub struct Bench {
    /// What to measure: `row`, a training step of a row of a table; or one of the cases that `bench list` prints.
    case: String,
    /// For `row`: the table file.
    #[arg(long)]
    table: Option<PathBuf>,
    /// For `row`: the name of the row.
    #[arg(long)]
    row: Option<String>,
    /// For `row`: folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// For cases of several networks: this one alone.
    #[arg(long)]
    network: Option<String>,
    #[command(flatten)]
    meter: Meter,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// If the case is unknown (the known ones are listed), or what is measured fails.
    pub fn run<T: Task>(&self) -> Result<()> {
        cli::threads(self.meter.threads)?;
        let cases = T::benches();
        match self.case.as_str() {
            "list" => {
                crate::out!("{:12} a training step of a row: --table FILE --row NAME", "row");
                cases.iter().for_each(|case| crate::out!("{:12} {}", case.name, case.about));
                Ok(())
            }
            "row" => self.row::<T>(),
            name => {
                let Some(case) = cases.iter().find(|case| case.name == name) else {
                    let known: Vec<_> = ["list", "row"].into_iter().chain(cases.iter().map(|case| case.name)).collect();
                    bail!("unknown case {name:?}; known: {}", known.join(", "))
                };
                ensure!(self.table.is_none() && self.row.is_none(), "--table and --row go with the case `row`");
                emit("machine", "multiply-adds in f32", self.meter.peak(), "GFLOP/s");
                (case.run)(&self.meter, self.network.as_deref())
            }
        }
    }

    /// A training step of a row, with its data.
    fn row<T: Task>(&self) -> Result<()> {
        let (Some(table), Some(row)) = (&self.table, &self.row) else { bail!("bench row: give --table and --row") };
        ensure!(self.network.is_none(), "--network goes with the cases that `bench list` prints");
        let run = Table::<T>::read(table)?.row(row).cloned().with_context(|| table.display().to_string())?;
        let data_dir = cli::data_dir(self.data_dir.as_deref());
        let options = T::Train::default();
        let begin = Begin::<T> { run: &run, seed: 0, data_dir: &data_dir, options: &options, folder: None, is_fresh: true };
        let prepared = begin.prepare()?;
        let (data, recipe) = (&*prepared.data, run.recipe(0));
        let mut learner = Learner::new(T::network(&prepared.model), &prepared.vars, run.optimizer(&prepared.vars)?);
        learner.companion = run.companion(data)?;
        let augment = recipe.augment.then(|| recipe.seed.named("augment"));
        ensure!(!data.is_empty(), "the training set is empty");
        let (mut step, mut average) = (0, run.average(&prepared.vars)?);
        // training reads ahead, and so does this
        let (batch_size, seed) = (run.batch_size, recipe.seed);
        let orders = (0..).flat_map(move |epoch: u64| {
            let augment = augment.map(|seed| seed.fold_in(epoch));
            data.batches(batch_size, epoch as usize, seed).into_iter().map(move |indices| (indices, augment))
        });
        let case = match run.accumulate {
            1 => format!("{}, batch {}", run.name, run.batch_size),
            more => format!("{}, batch {} x {more}", run.name, run.batch_size),
        };
        let mut examples = 0;
        let seconds = read_ahead(data, orders, |batches| {
            self.meter.seconds(|| {
                let numbers = step * run.accumulate..(step + 1) * run.accumulate;
                let Gradient { grads, examples: count, .. } = recipe.gradient(&mut learner, batches, numbers, step + 1)?;
                (step, examples) = (step + 1, count);
                learner.optimizer.step(&grads, run.lr)?;
                Ok(average.as_mut().map_or(Ok(()), WeightAverage::update)?)
            })
        })?;
        emit(&case, "train", examples as f64 / seconds, &format!("{}/s", T::INFO.examples));
        emit(&case, "peak memory", peak_memory(), "MB");
        Ok(())
    }
}

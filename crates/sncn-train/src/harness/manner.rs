//! `Manner`: in which way `evaluate` tests a network, where that is not the way of the row that trained it.

use super::run::Run;
use super::table::Table;
use super::task::{Task, Trained};
use crate::adapt::Adapt;
use anyhow::{Context, Result, bail};
use sncn_record::run::trained_differently;
use std::path::PathBuf;

/// In which way a network is tested.
#[derive(clap::Args, Debug)]
pub struct Manner {
    /// Test as a row of this table says; goes with --row.
    #[arg(long = "as", value_name = "FILE", requires = "row")]
    table_file: Option<PathBuf>,
    /// Name of that row.
    #[arg(long, value_name = "NAME", requires = "table_file")]
    row: Option<String>,
    /// Adapt to the test examples: batch, tent, other kinds, or JSON.
    #[arg(long, value_name = "KIND")]
    adapt: Option<String>,
    /// Measure calibration with a fitted temperature too.
    #[arg(long)]
    temperature: bool,
}

impl Manner {
    /// A trained model whose run says how it is tested here.
    ///
    /// # Errors
    /// If the row is unknown or trains in another way, or a setting does not fit.
    pub(super) fn apply<T: Task>(&self, trained: Trained<T>) -> Result<Trained<T>> {
        let Trained { mut header, mut run, seed, model, vars } = trained;
        let is_changed = self.table_file.is_some() || self.adapt.is_some() || self.temperature;
        if let (Some(path), Some(name)) = (&self.table_file, &self.row) {
            let table = Table::<T>::read(path)?;
            let same = table.row(name).and_then(|row| same_training(row.clone(), &run));
            run = same.with_context(|| path.display().to_string())?;
        }
        if let Some(text) = &self.adapt {
            let adapt = if text == "none" { None } else { Some(Adapt::parse(text).context("--adapt")?) };
            run = run.with_adapt(adapt, T::ADAPT_BATCH).context("--adapt")?;
        }
        if self.temperature {
            run = run.with_temperature();
        }
        if is_changed {
            header.run.run = run.resolved()?;
        }
        Ok(Trained { header, run, seed, model, vars })
    }
}

/// A row that is to be tested with the network of another run.
///
/// # Errors
/// If the two train in different ways: names the key.
fn same_training<S>(row: Run<S>, trained: &Run<S>) -> Result<Run<S>> {
    let (asked, found) = (row.resolved()?, trained.resolved()?);
    if let Some(key) = trained_differently(&asked, &found) {
        let show = |run: &serde_json::Value| run.get(key).map_or("absent".to_string(), serde_json::Value::to_string);
        bail!(
            "row {:?} asks for a network that was trained in another way than this one (row {:?}): its {key} is {}, this one's is {}",
            row.name,
            trained.name,
            show(&asked),
            show(&found)
        )
    }
    Ok(row)
}

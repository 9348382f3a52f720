//! `Table`: a table file of a task, its rows with all their settings read.

use super::run::Run;
use super::task::Task;
use crate::text_file;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::path::Path;

/// Reads a row for a task, with every setting.
///
/// # Errors
/// Names the key that does not fit or that the task would ignore, and what is accepted.
pub fn of_row<T: Task>(row: sncn_record::Run) -> Result<Run<T::Settings>> {
    let run = Run::new(row)?;
    let settings = T::settings(&run)?;
    let input = T::input(&settings)?.filter(|_| !run.input.is_null());
    let adapt = run.adapt.clone();
    ensure!(
        !run.temperature || T::INFO.is_calibrated(),
        "temperature is set; tables of task {:?} measure no confidence: take it away",
        T::INFO.name
    );
    run.with(settings).with_input(input).with_adapt(adapt, T::ADAPT_BATCH)
}

/// Reads a run as checkpoints hold it.
///
/// # Errors
/// Names the key that does not fit.
pub fn read<T: Task>(run: Value) -> Result<Run<T::Settings>> {
    let Value::Object(keys) = run else { bail!("a run is an object, not {run}") };
    of_row::<T>(sncn_record::Run::read(keys)?)
}

/// A table file whose rows were all read.
#[derive(Debug)]
pub struct Table<T: Task> {
    /// The file.
    pub file: sncn_record::Table,
    /// Its rows, fully specified.
    pub runs: Vec<Run<T::Settings>>,
}

impl<T: Task> Table<T> {
    /// Reads a table file.
    ///
    /// # Errors
    /// Names the file and the key that does not fit, or the program that takes the table.
    pub fn read(path: &Path) -> Result<Self> {
        let other = |name: &str| Ok(text_file::read(&sncn_record::beside(path, name))?.text);
        let read = || Self::of(sncn_record::Table::parse_beside(&text_file::read(path)?.text, &other)?);
        read().with_context(|| path.display().to_string())
    }

    /// Reads the text of a table file.
    ///
    /// # Errors
    /// Names the row and the key that does not fit, or the program that takes the table.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(sncn_record::Table::parse(text)?)
    }

    fn of(file: sncn_record::Table) -> Result<Self> {
        if file.task != T::INFO.name {
            let known = sncn_record::Task::of(&file.task)?;
            bail!("task is {:?}; {:?} is accepted; {} takes this table", file.task, T::INFO.name, known.program)
        }
        let read = |row: sncn_record::Run| {
            let name = row.name.clone();
            of_row::<T>(row).with_context(|| format!("run {name:?}"))
        };
        let runs = file.resolve()?.into_iter().map(read).collect::<Result<_>>()?;
        Ok(Self { file, runs })
    }

    /// The row of that name.
    ///
    /// # Errors
    /// Lists the known rows.
    pub fn row(&self, name: &str) -> Result<&Run<T::Settings>> {
        self.runs.iter().find(|run| run.name == name).with_context(|| {
            let known: Vec<_> = self.runs.iter().map(|run| run.name.as_str()).collect();
            format!("no row {name:?}; known: {}", known.join(", "))
        })
    }
}

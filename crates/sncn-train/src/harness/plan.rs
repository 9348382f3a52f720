//! The `plan` command: the resolved runs of a table, one JSON line a cell.

use super::{Table, Task};
use anyhow::{Context, Result};
use sncn_record::Cell;
use std::path::PathBuf;

/// Print the resolved runs of a table, one JSON line for each row and seed.
#[derive(clap::Args, Debug)]
pub struct Plan {
    /// Table file, such as models/quick.json.
    #[arg(long)]
    table: PathBuf,
    /// Only these rows.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// These seeds instead of the table's.
    #[arg(long, value_delimiter = ',')]
    seeds: Vec<u64>,
}

impl Plan {
    /// Runs the command.
    ///
    /// # Errors
    /// If the table does not fit or a row is unknown.
    pub fn run<T: Task>(&self) -> Result<()> {
        let table = Table::<T>::read(&self.table)?;
        for row in &self.rows {
            table.row(row).with_context(|| self.table.display().to_string())?;
        }
        let seeds = if self.seeds.is_empty() { &table.file.seeds } else { &self.seeds };
        for run in table.runs.iter().filter(|run| self.rows.is_empty() || self.rows.contains(&run.name)) {
            for &seed in seeds {
                let cell = Cell { row: run.name.clone(), seed, run: run.resolved()? };
                crate::out!("{}", serde_json::to_string(&cell)?);
            }
        }
        Ok(())
    }
}

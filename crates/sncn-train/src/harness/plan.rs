//! The `plan` command: the resolved runs of a table, one JSON line a cell.

use super::{Run, Table};
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
    /// Runs the command for tables of that task; `check` looks at the settings that only the task knows.
    ///
    /// # Errors
    /// Where the table does not fit or a row is unknown.
    pub fn run(&self, task: &str, check: impl Fn(&Run) -> Result<()>) -> Result<()> {
        let table = Table::read_for(&self.table, task)?;
        let mut runs: Vec<&Run> = table.runs.iter().collect();
        for row in &self.rows {
            table.row(row).with_context(|| self.table.display().to_string())?;
        }
        if !self.rows.is_empty() {
            runs.retain(|run| self.rows.contains(&run.name));
        }
        let seeds = if self.seeds.is_empty() { &table.file.seeds } else { &self.seeds };
        for run in runs {
            check(run).with_context(|| self.table.display().to_string())?;
            for &seed in seeds {
                let cell = Cell { row: run.name.clone(), seed, run: run.resolved()? };
                crate::out!("{}", serde_json::to_string(&cell)?);
            }
        }
        Ok(())
    }
}

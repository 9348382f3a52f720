//! What the `evaluate` commands of all tasks share: which checkpoint, and where its measurements go.

use super::record;
use super::saved::Saved;
use super::{Recorder, Run, cli};
use crate::checkpoint::Header;
use crate::files::write_atomically;
use crate::out;
use anyhow::Result;
use sncn_record::results;
use std::path::{Path, PathBuf};

/// Arguments of every `evaluate` command; the task adds `--test` and what only it measures.
#[derive(clap::Args, Debug)]
pub struct Report {
    /// Which checkpoint.
    #[command(flatten)]
    pub saved: Saved,
    /// Write the measurements there, as JSON lines.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Name of the table, for the results file.
    #[arg(long, default_value = "")]
    table: String,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Report {
    /// Sets the threads.
    ///
    /// # Errors
    /// Where their number is not accepted.
    pub fn start(&self) -> Result<()> {
        cli::threads(self.threads)
    }

    /// Where the data sets are.
    pub fn data_dir(&self) -> Option<&Path> {
        self.data_dir.as_deref()
    }

    /// A recorder whose header says what is measured, by which version of which program, here and now; notes that hold are kept.
    pub fn recorder(&self, saved: &Header, (run, seed): (&Run, u64), version: &str, notes: &[(bool, &str)]) -> Recorder {
        let (commit, dirty) = record::commit();
        Recorder::new(results::Header {
            format: results::FORMAT,
            table: self.table.clone(),
            row: run.name.clone(),
            seed,
            run: saved.run.run.clone(),
            commit,
            dirty,
            version: version.to_string(),
            machine: record::machine(),
            selection: run.selection().to_string(),
            notes: notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| note.to_string()).collect(),
            classes: saved.classes.clone(),
        })
    }

    /// Prints the measurements, as JSON lines or by `tables`, and writes them where that was asked for, with a CSV file's path and
    /// text if there is one: first to the screen, so that they are not lost where a file cannot be written.
    ///
    /// # Errors
    /// Where a file cannot be written; no half of it is left.
    pub fn finish(&self, recorder: &Recorder, tables: impl FnOnce(), csv: Option<(&Path, String)>) -> Result<()> {
        if self.json {
            for measurement in recorder.measurements() {
                out!("{}", serde_json::to_string(measurement)?);
            }
        } else {
            tables();
        }
        if let Some((path, text)) = csv {
            write_atomically(path, text.as_bytes())?;
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }
}

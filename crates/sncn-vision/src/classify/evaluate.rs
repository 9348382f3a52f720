//! `sncn-classify evaluate`: a trained network on its test sets, clean, shifted and corrupted.

use super::setup;
use super::test_sets::{TestSets, is_generated};
use crate::corruption::{BENCHMARK, CORRUPTIONS};
use anyhow::{Context, Result, bail};
use sncn_core::checkpoint::{self, Checkpoint};
use sncn_core::data::Dataset;
use sncn_core::evaluate::{Evaluation, evaluate};
use sncn_core::harness::record::{self, Machine};
use sncn_core::harness::{RecordHeader, Recorder, Run};
use std::path::PathBuf;

const BATCH: usize = 100;

/// Evaluate a trained network on its test sets: clean, shifted, and every corruption and severity.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    /// Folder with the checkpoints of a finished run.
    #[arg(long, conflicts_with = "checkpoint")]
    run_dir: Option<PathBuf>,
    /// A checkpoint file.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    /// Write the measurements there, as JSON lines.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Test sets instead of the run's, such as cifar10,cifar10-c (corrupted here) or cifar10-c-files (.npy files).
    #[arg(long, value_delimiter = ',')]
    test: Vec<String>,
    /// Name of the table, for the results file.
    #[arg(long, default_value = "")]
    table: String,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Folder of the frost photographs.
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Precision of the factors of convolutions; with bf16 the loss of accuracy on the uncorrupted sets is measured too.
    #[arg(long, value_enum, default_value = "f32")]
    precision: setup::Rounding,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Evaluate {
    fn checkpoint(&self) -> Result<Checkpoint> {
        match (&self.run_dir, &self.checkpoint) {
            (_, Some(file)) => Checkpoint::read(file),
            (Some(folder), None) => {
                checkpoint::newest(folder)?.with_context(|| format!("{}: no checkpoint; train first", folder.display()))
            }
            (None, None) => bail!("give --run-dir or --checkpoint"),
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint or a test set does not fit.
    pub fn run(&self) -> Result<()> {
        setup::threads(self.threads)?;
        let saved = self.checkpoint()?;
        let header = &saved.header;
        if header.step < header.total {
            eprintln!("warning: this checkpoint is of step {} of {}", header.step, header.total);
        }
        let run: Run = serde_json::from_value(header.run["run"].clone()).context("the run in the checkpoint")?;
        let seed = header.run["seed"].as_u64().unwrap_or_default();
        let (network, vars) = setup::network(&run, header.classes.len(), seed)?;
        saved.load_weights(&vars)?;
        let frost = setup::frost(self.frost_dir.as_deref())?;
        let tests = if self.test.is_empty() { &run.test } else { &self.test };
        let generated_frost = frost.is_generated() && tests.iter().any(|test| is_generated(test));
        let (data_dir, classes) = (self.data_dir.as_deref(), &header.classes);
        let splits = setup::open(&run.train, data_dir)?;
        let sets = TestSets { run: &run, splits: &splits, data_dir, frost: &frost, classes };
        let rounded = self.precision == setup::Rounding::Bf16;
        let (commit, dirty) = record::commit();
        let mut recorder = Recorder::new(RecordHeader {
            format: 1,
            table: self.table.clone(),
            row: run.name.clone(),
            seed,
            run: header.run["run"].clone(),
            commit,
            dirty,
            version: env!("CARGO_PKG_VERSION").to_string(),
            machine: Machine::here(),
            selection: "last".to_string(),
            notes: [(generated_frost, setup::GENERATED_FROST), (rounded, setup::ROUNDED)]
                .iter()
                .filter(|(holds, _)| *holds)
                .map(|(_, note)| note.to_string())
                .collect(),
        });
        let found = |split: &str, data: &dyn Dataset, rounding| -> Result<Evaluation> {
            let bar = setup::progress(data.len(), split);
            let pass = setup::pass(rounding);
            let found = evaluate(&*network, data, header.classes.len(), BATCH, &pass, |count| {
                bar.inc(count as u64);
                Ok(())
            })?;
            bar.finish_and_clear();
            Ok(found)
        };
        let mut one = |split: &str, data: &dyn Dataset| -> Result<()> {
            let (n, here) = (data.len(), found(split, data, self.precision)?);
            if rounded && !split.contains('/') {
                let whole = found(split, data, setup::Rounding::F32)?;
                let same = here.predictions.iter().zip(&whole.predictions).filter(|(a, b)| a == b).count();
                recorder.add(split, "error_f32", whole.confusion.error(), n);
                recorder.add(split, "agreement_f32", same as f64 / n.max(1) as f64, n);
            }
            recorder.add(split, "error", here.confusion.error(), n);
            recorder.add(split, "nll", here.calibration.nll(), n);
            recorder.add(split, "ece", here.calibration.ece(), n);
            Ok(())
        };
        for test in tests {
            for (split, data) in sets.open(test)? {
                one(&split, &data)?;
            }
        }
        // first to the screen: where the file cannot be written, the measurements are not lost
        self.print(&recorder, generated_frost)?;
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }

    fn print(&self, recorder: &Recorder, generated_frost: bool) -> Result<()> {
        if self.json {
            for measurement in recorder.measurements() {
                out!("{}", serde_json::to_string(measurement)?);
            }
            return Ok(());
        }
        let value = |split: &str, metric: &str| {
            let found = recorder.measurements().iter().find(|m| m.split == split && m.metric == metric);
            found.map(|m| 100. * m.value)
        };
        out!("{:24} {:>8} {:>8}", "test set", "error %", "ECE %");
        for m in recorder.measurements().iter().filter(|m| m.metric == "error" && !m.split.contains('/')) {
            out!("{:24} {:8.2} {:8.2}", m.split, 100. * m.value, value(&m.split, "ece").unwrap_or(f64::NAN));
            if let (Some(whole), Some(same)) = (value(&m.split, "error_f32"), value(&m.split, "agreement_f32")) {
                out!("{:24} in f32 the error is {whole:.2} %; bf16 gives the same label to {same:.2} %", "");
            }
        }
        let mut sets: Vec<&str> =
            recorder.measurements().iter().filter_map(|m| m.split.split_once('/')).map(|(set, _)| set).collect();
        sets.dedup();
        for set in &sets {
            out!("\n{set}: error % by corruption and severity");
            out!("{:24} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}", "", 1, 2, 3, 4, 5, "mean");
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
            let mut all = Vec::new();
            for (name, _) in &CORRUPTIONS[..BENCHMARK] {
                let row: Vec<f64> = (1..=5).filter_map(|severity| value(&format!("{set}/{name}/{severity}"), "error")).collect();
                let cells: String = row.iter().map(|error| format!(" {error:7.2}")).collect();
                out!("{name:24}{cells} {:7.2}", mean(&row));
                all.extend(row);
            }
            out!("mean corruption error (unnormalised) {:.2} %", mean(&all));
        }
        if generated_frost {
            out!("{}", setup::GENERATED_FROST);
        }
        Ok(())
    }
}

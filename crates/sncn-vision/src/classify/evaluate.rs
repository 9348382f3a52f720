//! `sncn-classify evaluate`: a trained network on its test sets, clean, shifted and corrupted.

use super::setup;
use super::summary::Summary;
use super::test_sets::{TestSets, is_corrupted, takes_frost};
use anyhow::{Context, Result, bail, ensure};
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
    /// Write the errors of corrupted sets there as CSV, a row for each corruption, in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
    /// Test sets instead of the run's, such as cifar10,cifar10-c (corrupted here), cifar10-c-files (.npy files) or
    /// cifar10-held,cifar10-held-c (what train_limit leaves of the training images, with four other corruptions); any other
    /// name is that of a folder of data.npy and labels.npy in the data folder, such as cifar10.1.
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
        let generated_frost = frost.is_generated() && tests.iter().any(|test| takes_frost(test));
        let (data_dir, classes) = (self.data_dir.as_deref(), &header.classes);
        ensure!(
            self.csv.is_none() || tests.iter().any(|test| is_corrupted(test)),
            "--csv: none of the test sets {} is corrupted; add one such as {}-c with --test",
            tests.join(", "),
            run.train
        );
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
            classes: classes.clone(),
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
            let here = found(split, data, self.precision)?;
            let whole_set = !split.contains('/');
            if rounded && whole_set {
                let (n, whole) = (data.len(), found(split, data, setup::Rounding::F32)?);
                let same = here.predictions.iter().zip(&whole.predictions).filter(|(a, b)| a == b).count();
                recorder.add(split, "error_f32", whole.confusion.error(), n);
                recorder.add(split, "agreement_f32", same as f64 / n.max(1) as f64, n);
            }
            recorder.add_evaluation(split, &here, whole_set);
            Ok(())
        };
        for test in tests {
            for (split, data) in sets.open(test)? {
                one(&split, &data)?;
            }
        }
        // first to the screen: where a file cannot be written, the measurements are not lost
        let summary = Summary::new(recorder.measurements());
        if self.json {
            summary.json()?
        } else {
            summary.print()
        }
        if generated_frost && !self.json {
            out!("{}", setup::GENERATED_FROST);
        }
        if let Some(path) = &self.csv {
            checkpoint::write_atomically(path, summary.csv().as_bytes())?;
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }
}

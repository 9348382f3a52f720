//! `sncn-classify evaluate`: a trained network on its test sets, clean, shifted and corrupted.

use super::setup;
use super::summary::Summary;
use super::test_sets::{TestSets, is_corrupted, takes_frost};
use crate::corruption::frost;
use anyhow::{Result, ensure};
use sncn_train::data::Dataset;
use sncn_train::evaluate::{Evaluation, evaluate};
use sncn_train::harness::report::Report;
use sncn_train::harness::{cli, saved};
use std::path::PathBuf;

const BATCH: usize = 100;

/// Evaluate a trained network on its test sets: clean, shifted, and every corruption and severity.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    #[command(flatten)]
    report: Report,
    /// Write the errors of corrupted sets there as CSV, a row for each corruption, in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Test sets instead of the run's, such as cifar10,cifar10-c (corrupted here), cifar10-c-files (.npy files) or
    /// cifar10-held,cifar10-held-c (what train_limit leaves of the training images, with four other corruptions); any other
    /// name is that of a folder of data.npy and labels.npy in the data folder, such as cifar10.1.
    #[arg(long, value_delimiter = ',')]
    test: Vec<String>,
    /// Folder of the frost photographs.
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Precision of the factors of convolutions; with bf16 the loss of accuracy on the uncorrupted sets is measured too.
    #[arg(long, value_enum, default_value = "f32")]
    precision: cli::Rounding,
}

impl Evaluate {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint or a test set does not fit.
    pub fn run(&self) -> Result<()> {
        self.report.start()?;
        let saved = self.report.saved.read()?;
        let (run, seed) = saved::run_of(&saved)?;
        let header = &saved.header;
        let (network, vars) = setup::network(&run, header.classes.len(), seed)?;
        saved.load_weights(&vars)?;
        let frost = frost::textures(self.frost_dir.as_deref())?;
        let tests = if self.test.is_empty() { &run.test } else { &self.test };
        let generated_frost = frost.is_generated() && tests.iter().any(|test| takes_frost(test));
        let (data_dir, classes) = (self.report.data_dir(), &header.classes);
        ensure!(
            self.csv.is_none() || tests.iter().any(|test| is_corrupted(test)),
            "--csv: none of the test sets {} is corrupted; add one such as {}-c with --test",
            tests.join(", "),
            run.train
        );
        let splits = setup::open(&run.train, data_dir)?;
        let sets = TestSets { run: &run, splits: &splits, data_dir, frost: &frost, classes };
        let rounded = self.precision == cli::Rounding::Bf16;
        let notes = [(generated_frost, frost::GENERATED), (rounded, cli::ROUNDED)];
        let mut recorder = self.report.recorder(header, (&run, seed), env!("CARGO_PKG_VERSION"), &notes);
        let found = |split: &str, data: &dyn Dataset, rounding| -> Result<Evaluation> {
            let bar = cli::progress(data.len(), split);
            let pass = cli::pass(rounding);
            let found = evaluate(&*network, data, header.classes.len(), BATCH, &pass, |count| {
                bar.inc(count as u64);
            })?;
            bar.finish_and_clear();
            Ok(found)
        };
        let mut one = |split: &str, data: &dyn Dataset| -> Result<()> {
            let here = found(split, data, self.precision)?;
            let whole_set = !split.contains('/');
            if rounded && whole_set {
                let (n, whole) = (data.len(), found(split, data, cli::Rounding::F32)?);
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
        let summary = Summary::new(recorder.measurements());
        let tables = || {
            summary.print();
            if generated_frost {
                out!("{}", frost::GENERATED);
            }
        };
        self.report.finish(&recorder, tables, self.csv.as_deref().map(|path| (path, summary.csv())))
    }
}

//! `sncn-segment evaluate`: a trained network on its test sets: mean IoU, accuracies, IoU of every class, corruptions.

use super::scoring::{Protocol, Scorer};
use super::setup::{self, TestSets};
use super::summary::Summary;
use crate::corruption::frost;
use anyhow::Result;
use sncn_train::harness::report::Report;
use sncn_train::harness::{cli, saved};
use std::path::PathBuf;

/// Evaluate a trained network on its test sets: mean IoU, mean and pixel accuracy, the IoU of every class.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    #[command(flatten)]
    report: Report,
    /// Write the IoU of every class there as CSV, a row for each test set, in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Test sets instead of the run's, such as camvid-dusk, camvid-dusk-c (15 corruptions × 5 severities) or
    /// cityscapes-crop713 (the middle of every image).
    #[arg(long, value_delimiter = ',')]
    test: Vec<String>,
    /// Folder of the frost photographs.
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Side of a sliding window in place of what the run says; windows overlap by a third.
    #[arg(long)]
    window: Option<usize>,
    /// Precision of the factors of convolutions.
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
        let classes = &saved.header.classes;
        let (_, protocol) = setup::settings(&run)?;
        let (network, vars) = setup::network(&run, classes.len(), seed)?;
        saved.load_weights(&vars)?;
        let frost = frost::textures(self.frost_dir.as_deref())?;
        let tests = if self.test.is_empty() { &run.test } else { &self.test };
        let generated_frost = frost.is_generated() && tests.iter().any(|test| test.ends_with("-c"));
        let window = self.window.map(|side| format!("sliding window of {side} × {side} pixels, set on the command line"));
        let notes = [
            (generated_frost, frost::GENERATED),
            (self.precision == cli::Rounding::Bf16, cli::ROUNDED),
            (window.is_some(), window.as_deref().unwrap_or_default()),
        ];
        let mut recorder = self.report.recorder(&saved.header, (&run, seed), env!("CARGO_PKG_VERSION"), &notes);
        let splits = setup::open(&run.train, self.report.data_dir())?;
        let (data_dir, limit) = (self.report.data_dir(), run.test_limit);
        let sets = TestSets { splits: &splits, data_dir, frost: &frost, classes, limit };
        let protocol = self.window.map_or(Ok(protocol), Protocol::sliding)?;
        let scorer = Scorer { network: &*network, classes: classes.len(), protocol, pass: cli::pass(self.precision) };
        for test in tests {
            for (split, data) in sets.open(test)? {
                let bar = cli::progress(sncn_train::data::Dataset::len(&data), &split);
                let confusion = scorer.score(&data, || {
                    bar.inc(1);
                    Ok(())
                })?;
                bar.finish_and_clear();
                recorder.add_segmentation(&split, &confusion, classes, !split.contains('/'));
            }
        }
        let summary = Summary::new(recorder.measurements(), classes);
        let tables = || {
            summary.print();
            if generated_frost {
                out!("{}", frost::GENERATED);
            }
        };
        self.report.finish(&recorder, tables, self.csv.as_deref().map(|path| (path, summary.csv())))
    }
}

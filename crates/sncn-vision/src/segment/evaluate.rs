//! `sncn-segment evaluate`: a trained network on its test sets: mean IoU, accuracies, IoU of every class, corruptions.

use super::scoring::{Protocol, Scorer};
use super::setup::{self, TestSets};
use super::summary::Summary;
use crate::corruption::frost;
use anyhow::Result;
use sncn_core::checkpoint;
use sncn_core::harness::saved::{self, Saved};
use sncn_core::harness::{Recorder, cli};
use std::path::PathBuf;

/// Evaluate a trained network on its test sets: mean IoU, mean and pixel accuracy, the IoU of every class.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    #[command(flatten)]
    saved: Saved,
    /// Write the measurements there, as JSON lines.
    #[arg(long)]
    results: Option<PathBuf>,
    /// Write the IoU of every class there as CSV, a row for each test set, in percent.
    #[arg(long)]
    csv: Option<PathBuf>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Test sets instead of the run's, such as camvid-dusk, camvid-dusk-c (15 corruptions × 5 severities) or
    /// cityscapes-crop713 (the middle of every image).
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
    /// Side of a sliding window in place of what the run says; windows overlap by a third.
    #[arg(long)]
    window: Option<usize>,
    /// Precision of the factors of convolutions.
    #[arg(long, value_enum, default_value = "f32")]
    precision: cli::Rounding,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Evaluate {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint or a test set does not fit.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let saved = self.saved.read()?;
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
        let header = saved::record_header(&saved.header, &self.table, (&run, seed), env!("CARGO_PKG_VERSION"), &notes);
        let mut recorder = Recorder::new(header);
        let splits = setup::open(&run.train, self.data_dir.as_deref())?;
        let (data_dir, limit) = (self.data_dir.as_deref(), run.test_limit);
        let sets = TestSets { splits: &splits, data_dir, frost: &frost, classes, limit };
        let protocol = self.window.map_or(Ok(protocol), Protocol::sliding)?;
        let scorer = Scorer { network: &*network, classes: classes.len(), protocol, pass: cli::pass(self.precision) };
        for test in tests {
            for (split, data) in sets.open(test)? {
                let bar = cli::progress(sncn_core::data::Dataset::len(&data), &split);
                let confusion = scorer.score(&data, || {
                    bar.inc(1);
                    Ok(())
                })?;
                bar.finish_and_clear();
                recorder.add_segmentation(&split, &confusion, classes, !split.contains('/'));
            }
        }
        // first to the screen: where a file cannot be written, the measurements are not lost
        let summary = Summary::new(recorder.measurements(), classes);
        if self.json {
            summary.json()?
        } else {
            summary.print()
        }
        if generated_frost && !self.json {
            out!("{}", frost::GENERATED);
        }
        if let Some(path) = &self.csv {
            checkpoint::write_atomically(path, summary.csv().as_bytes())?;
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }
}

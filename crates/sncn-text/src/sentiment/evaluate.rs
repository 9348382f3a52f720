//! `sncn-sentiment evaluate`: a trained network on its test sets, of its own domain and of others.

use super::setup::{self, Trained};
use super::summary;
use crate::dataset::{self, Texts};
use crate::examples::Examples;
use crate::shift::{self, SEVERITIES, SHIFTS};
use anyhow::{Result, ensure};
use sncn_core::Pass;
use sncn_train::data::Dataset;
use sncn_train::evaluate::evaluate;
use sncn_train::harness::cli;
use sncn_train::harness::report::Report;

const BATCH: usize = 64;

/// Evaluate a trained network on its test sets, as they are and shifted: accuracy, macro-F1, calibration.
#[derive(clap::Args, Debug)]
pub struct Evaluate {
    #[command(flatten)]
    report: Report,
    /// Test sets instead of the run's, such as sst2,imdb-held, imdb-c (8 shifts × 5 severities, made as it goes) or the path of a
    /// .jsonl, .tsv or .csv file with columns text and label; `<path>:<texts>:<labels>` where they have other names.
    #[arg(long, value_delimiter = ',')]
    test: Vec<String>,
}

/// Whether two lists of classes are the same, whatever their letters; `LABEL_<number>` names nothing.
fn alike(one: &[String], two: &[String]) -> bool {
    let same = |i: usize, a: &String, b: &String| a.to_lowercase() == b.to_lowercase() || *b == format!("LABEL_{i}");
    one.len() == two.len() && one.iter().zip(two).enumerate().all(|(i, (a, b))| same(i, a, b))
}

impl Evaluate {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint or a test set does not fit.
    pub fn run(&self) -> Result<()> {
        self.report.start()?;
        let Trained { header, run, seed, input, vocabulary, network } = setup::trained(&self.report.saved)?;
        let (classes, source) = (&header.classes, cli::source(self.report.data_dir()));
        let mut recorder = self.report.recorder(&header, (&run, seed), env!("CARGO_PKG_VERSION"), &[]);
        for test in if self.test.is_empty() { &run.test } else { &self.test } {
            let (name, shifted) = test.strip_suffix("-c").map_or((test.as_str(), false), |name| (name, true));
            let texts = dataset::open(name, &source)?.first(run.test_limit);
            ensure!(
                alike(&texts.classes, classes),
                "{test}: its classes ({}) are not the network's ({})",
                texts.classes.join(", "),
                classes.join(", ")
            );
            let mut one = |split: &str, texts: &Texts, detail: bool| -> Result<()> {
                let data = Examples::new(texts, &vocabulary, input.longest)?;
                let bar = cli::progress(data.len(), split);
                let found = evaluate(&*network, &data, classes.len(), BATCH, &Pass::eval(), |count| {
                    bar.inc(count as u64);
                })?;
                bar.finish_and_clear();
                recorder.add(split, "accuracy", 1. - found.confusion.error(), data.len());
                recorder.add_evaluation(split, &found, detail);
                Ok(())
            };
            if !shifted {
                one(test, &texts, true)?;
                continue;
            }
            for &shift in SHIFTS {
                for severity in 1..=SEVERITIES {
                    one(&format!("{test}/{}/{severity}", shift.0), &shift::shifted(&texts, shift, severity), false)?;
                }
            }
        }
        self.report.finish(&recorder, || summary::print(recorder.measurements()), None)
    }
}

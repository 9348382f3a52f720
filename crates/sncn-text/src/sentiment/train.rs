//! `sncn-sentiment train`: trains one cell of a table, resuming where it stopped.

use super::begin;
use super::setup::{self, Augment, TASK};
use crate::examples::Examples;
use anyhow::{Context, Result};
use sncn_core::Pass;
use sncn_train::evaluate::evaluate;
use sncn_train::harness::cli;
use sncn_train::harness::fit::{Fit, Job};

/// Train one row of a table with one seed; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Train {
    #[command(flatten)]
    fit: Fit,
}

/// Held-out texts a batch.
const BATCH: usize = 64;

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table, the data or a checkpoint does not fit, or training fails.
    pub fn run(&self) -> Result<()> {
        let Some(begun) = self.fit.start(TASK)? else { return Ok(()) };
        let (run, is_fresh) = (&begun.run, begun.is_fresh());
        let (input, augment) = setup::settings(run)?;
        let (source, folder) = (cli::source(self.fit.data_dir()), self.fit.run_dir());
        let (texts, held) = setup::training(run, &source)?;
        let parts = if is_fresh { begin::parts(run, &input, &texts, folder, &source)? } else { setup::Parts::kept(run, folder)? };
        let vocabulary = &parts.vocabulary;
        let classes = texts.classes.len();
        let (network, vars) = parts.network(run, &input, classes, self.fit.seed())?;
        let mut data = Examples::new(&texts, vocabulary, input.longest)?;
        if is_fresh {
            begin::weights(&parts, run, &vars)?;
            begin::vectors(&input, vocabulary, &data, &vars, &source, self.fit.seed())?;
        }
        let describe = format!(
            "{}: {} tokens in {} texts, {} in the vocabulary",
            texts.describe,
            data.tokens(),
            texts.examples.len(),
            vocabulary.len()
        );
        if let Some(Augment::WordDropout { rate }) = augment {
            let unknown = vocabulary.unknown().context("the vocabulary has no unknown token, which word dropout needs")?;
            data = data.with_word_dropout(rate, unknown);
        }
        let held = match run.stopping {
            Some(_) => Some(Examples::new(&held, vocabulary, input.longest)?),
            None => None,
        };
        let score = || {
            let held = held.as_ref().context("no held-out texts")?;
            Ok(1. - evaluate(&*network, held, classes, BATCH, &Pass::eval(), |_| ())?.confusion.error())
        };
        let held = held.as_ref().map(|_| &score as &dyn Fn() -> Result<f64>);
        self.fit.run(begun, &Job { network: &*network, vars: &vars, data: &data, classes: texts.classes, describe, held })
    }
}

//! `sncn-sentiment train`: trains one cell of a table, resuming where it stopped.

use super::setup::{self, Augment, TASK, VOCABULARY};
use crate::Vocabulary;
use crate::examples::Examples;
use anyhow::{Context, Result};
use sncn_core::checkpoint::write_atomically;
use sncn_core::harness::cli;
use sncn_core::harness::fit::{Fit, Job};

/// Train one row of a table with one seed; run it again to resume.
#[derive(clap::Args, Debug)]
pub struct Train {
    #[command(flatten)]
    fit: Fit,
}

impl Train {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the table, the data or a checkpoint does not fit, or training fails.
    pub fn run(&self) -> Result<()> {
        let run = self.fit.start(TASK)?;
        let (input, augment) = setup::settings(&run)?;
        let source = cli::source(self.fit.data_dir());
        let texts = setup::training(&run, &source)?;
        let path = self.fit.run_dir().join(VOCABULARY);
        let vocabulary = if path.is_file() {
            Vocabulary::read(&path)?
        } else {
            let learnt = Vocabulary::new(&input.vocabulary, texts.examples.iter().map(|example| example.text.as_str()))?;
            std::fs::create_dir_all(self.fit.run_dir()).with_context(|| self.fit.run_dir().display().to_string())?;
            write_atomically(&path, learnt.to_json()?.as_bytes())?;
            learnt
        };
        let (network, vars) = setup::network(&run, &input, &vocabulary, texts.classes.len(), self.fit.seed())?;
        if let Some(said) = setup::with_vectors(&input, &vocabulary, &vars, &source)? {
            eprintln!("{said}");
        }
        let mut data = Examples::new(&texts, &vocabulary, input.longest)?;
        let describe = format!(
            "{}: {} tokens in {} texts, {} in the vocabulary",
            texts.describe,
            data.tokens(),
            texts.examples.len(),
            vocabulary.len()
        );
        if let Some(Augment::WordDropout { rate }) = augment {
            let unknown = ["[UNK]", "<unk>"].iter().find_map(|token| vocabulary.id(token));
            data =
                data.with_word_dropout(rate, unknown.context("the vocabulary has no unknown token, which word dropout needs")?);
        }
        self.fit.run(&run, &Job { network: &*network, vars: &vars, data: &data, classes: texts.classes, describe })
    }
}

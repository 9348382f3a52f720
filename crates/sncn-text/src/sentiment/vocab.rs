//! `sncn-sentiment vocab`: learns a vocabulary from training texts and writes it as a `tokenizer.json`.

use crate::dataset;
use crate::{Vocabulary, VocabularyConfig};
use anyhow::Result;
use sncn_train::files::write_atomically;
use sncn_train::harness::cli;
use std::path::PathBuf;

/// What a vocabulary is made of.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kind {
    /// Whole words.
    Words,
    /// Word pieces.
    Pieces,
}

/// What a vocabulary is learnt from, and where it goes.
#[derive(clap::Args, Debug)]
pub struct Vocab {
    /// Data set, such as imdb or reviews.
    #[arg(long)]
    train: String,
    /// Whole words (words) or word pieces (pieces).
    #[arg(long, value_enum, hide_possible_values = true, default_value = "pieces")]
    kind: Kind,
    /// Tokens, padding and its like included.
    #[arg(long, default_value_t = 8000)]
    size: usize,
    /// The file to write.
    #[arg(long)]
    output: PathBuf,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Vocab {
    /// Runs the command.
    ///
    /// # Errors
    /// If the texts are missing, or the file cannot be written.
    pub fn run(&self) -> Result<()> {
        let texts = dataset::training(&self.train, &cli::data_dir(self.data_dir.as_deref()))?;
        let size = self.size;
        let config = match self.kind {
            Kind::Words => VocabularyConfig::Words { size },
            Kind::Pieces => VocabularyConfig::Pieces { size },
        };
        let vocabulary = Vocabulary::new(&config, texts.examples.iter().map(|example| example.text.as_str()))?;
        write_atomically(&self.output, vocabulary.to_json()?.as_bytes())?;
        out!(
            "{}: {} tokens learnt from {} texts of {}",
            self.output.display(),
            vocabulary.len(),
            texts.examples.len(),
            self.train
        );
        Ok(())
    }
}

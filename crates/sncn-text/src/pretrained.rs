//! `Pretrained`: a BERT, RoBERTa or DistilBERT encoder in Hugging Face's layout, a folder with `config.json`, `model.safetensors` (or
//! `pytorch_model.bin`) and `tokenizer.json` (or the files it is made of), with or without a classifier.

use crate::Vocabulary;
use crate::backbone::{EncoderConfig, Family};
use crate::vocabulary::folder;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sncn_core::{LayerConfig, Vars};
use sncn_train::files;
use sncn_train::id2label::classes;
use sncn_train::text_file::{self, quoted};
use sncn_weights::{NameMap, Outcome, Weights};
use std::path::{Path, PathBuf};

/// The name of the file with the sizes.
pub(crate) const CONFIG: &str = "config.json";

/// A folder with the sizes, weights and vocabulary of an encoder.
#[derive(Clone, Debug)]
pub struct Pretrained {
    folder: PathBuf,
    /// The sizes of the encoder.
    pub config: EncoderConfig,
    /// The class names in `config.json`, in the order of their numbers; `LABEL_0`, … where it has none.
    pub classes: Vec<String>,
    /// Whether every class has a probability of its own (`problem_type`), so that a text may be of several.
    pub is_multi_label: bool,
}

/// The outcome of loading weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The number of variables that were loaded from the file.
    pub matched: usize,
    /// Variables of the classifier or of attached layers that keep their initial values.
    pub fresh: Vec<String>,
    /// Those of them that the file has with another shape, and that shape.
    pub other_shape: Vec<(String, Vec<usize>)>,
    /// Tensors of the file that the network does not have.
    pub surplus: Vec<String>,
}

/// Whether a folder holds an encoder in Hugging Face's layout, with or without weights that are read.
pub(crate) fn is_pretrained(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// The network's name for a tensor of the file: without the prefix of the family, and in current spelling.
fn renamed(family: Family, name: &str) -> String {
    let beginning = match family {
        Family::Bert => "bert.",
        Family::Roberta => "roberta.",
        Family::Distilbert => "distilbert.",
    };
    let name = name.strip_prefix(beginning).unwrap_or(name);
    let name = match family {
        // its classifier has two layers, the first of which is what BERT calls the pooler; a pooler that is left over from pretraining
        // is no part of the classifier
        Family::Roberta if name.starts_with("pooler.") => format!("roberta.{name}"),
        Family::Roberta => name.replace("classifier.dense.", "pooler.dense.").replace("classifier.out_proj.", "classifier."),
        _ => name.to_string(),
    };
    // the names of weights that were converted from TensorFlow
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

impl Pretrained {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// If the file is missing, damaged, or of an unsupported encoder.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let at = || path.display().to_string();
        let wanted = "expected a folder with config.json, model.safetensors and tokenizer.json";
        ensure!(path.is_file(), "{}: not readable; {wanted}", at());
        let value: Value = serde_json::from_str(&text_file::read(&path)?.text).with_context(at)?;
        let config = EncoderConfig::published(&value).with_context(at)?;
        let classes = classes(&value).with_context(at)?;
        let is_multi_label = value.get("problem_type").and_then(Value::as_str) == Some("multi_label_classification");
        Ok(Self { folder: folder.to_path_buf(), config, classes, is_multi_label })
    }

    /// Reads the vocabulary and checks it; also returns the most tokens of a text, as the encoder and its tokenizer have it.
    ///
    /// # Errors
    /// If the files are missing or damaged, or do not fit the sizes of the weights.
    pub fn vocabulary(&self) -> Result<(Vocabulary, usize)> {
        let read = folder::read(&self.folder, self.config.family)?;
        self.check(&read.vocabulary).with_context(|| read.path.display().to_string())?;
        let most = self.config.longest();
        Ok((read.vocabulary, read.longest.map_or(most, |longest| longest.min(most))))
    }

    /// Checks that a vocabulary fits the weights.
    ///
    /// # Errors
    /// If the vocabulary has more tokens than the weights, or another padding id.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<()> {
        let EncoderConfig { vocab_size, pad_token_id, .. } = self.config;
        ensure!(
            vocabulary.len() <= vocab_size,
            "a vocabulary of {} tokens for weights of {vocab_size} (vocab_size of {}): of another network",
            vocabulary.len(),
            self.folder.join(CONFIG).display()
        );
        if let Some((token, id)) = vocabulary.largest() {
            ensure!(
                (id as usize) < vocab_size,
                "token {} has the id {id}, and there are weights for ids below {vocab_size} (vocab_size of {}): of another network",
                quoted(&token),
                self.folder.join(CONFIG).display()
            );
        }
        ensure!(
            vocabulary.pad() == pad_token_id,
            "the vocabulary pads with {}, the weights with {pad_token_id} (pad_token_id of {}): of another network",
            vocabulary.pad(),
            self.folder.join(CONFIG).display()
        );
        Ok(())
    }

    /// Loads the weights into the variables of an encoder with `layers` attached. Attached layers keep their values, and so does the
    /// classifier if the file has none or one for another number of classes.
    ///
    /// # Errors
    /// If the file is missing, damaged, or of another network; then no variable is changed.
    pub fn load(&self, vars: &Vars, layers: &[LayerConfig]) -> Result<Found> {
        let weights = Weights::open(&self.folder, files::look)?;
        let at = || weights.path().display().to_string();
        let head = |name: &str| ["classifier.", "pooler.", "pre_classifier."].iter().any(|start| name.starts_with(start));
        let attached = |name: &str| name.split('.').any(|part| layers.iter().any(|layer| layer.kind == part));
        let names =
            NameMap { rename: &|name| renamed(self.config.family, name), keep_initial: &|name| head(name) || attached(name) };
        let mut found = Found::default();
        let all: Vec<String> = vars.all().into_iter().map(|(name, _)| name).collect();
        let theirs = weights.find(&all, &names, None).with_context(at)?;
        theirs
            .load(vars, |outcome, name, _| match outcome {
                Outcome::Fresh => {
                    found.fresh.push(name.to_string());
                    found.other_shape.extend(theirs.shape(name).map(|shape| (name.to_string(), shape.to_vec())));
                }
                Outcome::Surplus => found.surplus.push(name.to_string()),
                _ => {}
            })
            .with_context(at)?;
        found.matched = all.len() - found.fresh.len();
        Ok(found)
    }

    /// As [`Pretrained::load`] without attached layers, but the file must have the classifier.
    ///
    /// # Errors
    /// As [`Pretrained::load`], and if a variable of the classifier is missing.
    pub fn load_whole(&self, vars: &Vars) -> Result<()> {
        let found = self.load(vars, &[])?;
        if let Some((name, shape)) = found.other_shape.first() {
            let classes = self.classes.len();
            bail!(
                "{}: {name} has shape {shape:?} in the file, {CONFIG}'s id2label names {classes} classes: weights of another classifier; \
                 correct id2label or fetch the weights again",
                self.folder.display()
            )
        }
        if let Some(name) = found.fresh.first() {
            bail!(
                "{}: no weights of a classifier ({name} is missing): train it first, by a row with backbone \"pretrained\"",
                self.folder.display()
            )
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_three_families_become_ours() {
        let name = |family, name| renamed(family, name);
        assert_eq!(name(Family::Bert, "bert.embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
        assert_eq!(name(Family::Bert, "encoder.layer.0.output.LayerNorm.beta"), "encoder.layer.0.output.LayerNorm.bias");
        assert_eq!(name(Family::Roberta, "roberta.encoder.layer.1.output.dense.weight"), "encoder.layer.1.output.dense.weight");
        assert_eq!(name(Family::Roberta, "classifier.dense.bias"), "pooler.dense.bias");
        assert_eq!(name(Family::Roberta, "classifier.out_proj.bias"), "classifier.bias");
        assert_eq!(name(Family::Roberta, "roberta.pooler.dense.bias"), "roberta.pooler.dense.bias");
        assert_eq!(name(Family::Distilbert, "distilbert.transformer.layer.0.ffn.lin1.bias"), "transformer.layer.0.ffn.lin1.bias");
        assert_eq!(name(Family::Distilbert, "pre_classifier.bias"), "pre_classifier.bias");
    }

    #[test]
    fn configurations_that_do_not_fit_are_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let error = |text: &str| {
            std::fs::write(folder.path().join(CONFIG), text).unwrap();
            format!("{:#}", Pretrained::open(folder.path()).unwrap_err())
        };
        assert!(error("{").contains(CONFIG));
        assert!(error(r#"{"model_type": "albert"}"#).contains("albert"));
        assert!(error(r#"{"model_type": "bert", "vocab_size": "many"}"#).contains("vocab_size"));
        let nowhere = format!("{:#}", Pretrained::open(Path::new("/nowhere")).unwrap_err());
        assert!(nowhere.contains("/nowhere/config.json") && nowhere.contains("and tokenizer.json"));
        Ok(())
    }
}

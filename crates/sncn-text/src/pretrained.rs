//! `Pretrained`: an encoder as Hugging Face lays it out: a folder with `config.json`, `model.safetensors` (or `pytorch_model.bin`) and
//! `tokenizer.json` (or `vocab.txt`), of BERT, RoBERTa or DistilBERT, with a classifier or without.

use crate::Vocabulary;
use crate::backbone::{EncoderConfig, Family};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sncn_core::{LayerConfig, Vars};
use sncn_weights::weights::{NameMap, Outcome, Weights};
use std::path::{Path, PathBuf};

/// The file with the sizes.
pub const CONFIG: &str = "config.json";
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const VOCABULARIES: [&str; 2] = ["tokenizer.json", "vocab.txt"];

/// A folder with an encoder's sizes, weights and vocabulary.
#[derive(Clone, Debug)]
pub struct Pretrained {
    folder: PathBuf,
    /// The sizes.
    pub config: EncoderConfig,
    /// The classes that `config.json` names, in the order of their numbers; empty where it names none.
    pub classes: Vec<String>,
}

/// What became of the weights.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Variables that the file had.
    pub matched: usize,
    /// Variables of the classifier or of layers hung on the encoder that keep their initial values.
    pub fresh: Vec<String>,
    /// Tensors of the file that the network lacks.
    pub surplus: Vec<String>,
}

/// Whether a folder holds an encoder in that layout.
pub fn is_pretrained(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() && first(folder, &WEIGHTS).is_some()
}

fn first(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The network's name of a tensor: without the family's own beginning, and in today's words.
fn renamed(family: Family, name: &str) -> String {
    let beginning = match family {
        Family::Bert => "bert.",
        Family::Roberta => "roberta.",
        Family::Distilbert => "distilbert.",
    };
    let name = name.strip_prefix(beginning).unwrap_or(name);
    let name = match family {
        // its classifier is a head of two layers, of which the first is the pooler's twin
        Family::Roberta => name.replace("classifier.dense.", "pooler.dense.").replace("classifier.out_proj.", "classifier."),
        _ => name.to_string(),
    };
    // as weights that came from TensorFlow are named
    name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
}

impl Pretrained {
    /// Reads the sizes.
    ///
    /// # Errors
    /// Where `config.json` is missing, damaged, or of an encoder that is not known.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(CONFIG);
        let at = || path.display().to_string();
        let wanted = "a folder with config.json, model.safetensors and tokenizer.json is wanted";
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}: not readable; {wanted}", at()))?;
        let value: Value = serde_json::from_str(&text).with_context(at)?;
        let config: EncoderConfig = serde_path_to_error::deserialize(&value).with_context(at)?;
        let mut classes: Vec<(usize, String)> = Vec::new();
        for (number, name) in value.get("id2label").and_then(Value::as_object).into_iter().flatten() {
            let number = number.parse().with_context(|| format!("{}: id2label: {number:?} is no number", at()))?;
            classes.push((number, name.as_str().map_or_else(|| name.to_string(), str::to_string)));
        }
        classes.sort_unstable();
        ensure!(
            classes.iter().enumerate().all(|(i, (number, _))| i == *number),
            "{}: id2label: the numbers are not 0 to {}",
            at(),
            classes.len().saturating_sub(1)
        );
        Ok(Self { folder: folder.to_path_buf(), config, classes: classes.into_iter().map(|(_, name)| name).collect() })
    }

    /// The vocabulary beside the weights, held to their sizes.
    ///
    /// # Errors
    /// Where it is missing or damaged, or has more tokens than the weights, or another padding.
    pub fn vocabulary(&self) -> Result<Vocabulary> {
        let path = first(&self.folder, &VOCABULARIES)
            .with_context(|| format!("{}: none of {} is there", self.folder.display(), VOCABULARIES.join(", ")))?;
        let vocabulary = Vocabulary::read(&path)?;
        self.check(&vocabulary).with_context(|| path.display().to_string())?;
        Ok(vocabulary)
    }

    /// Refuses a vocabulary that does not fit the weights.
    ///
    /// # Errors
    /// Where it has more tokens than they, or another padding.
    pub fn check(&self, vocabulary: &Vocabulary) -> Result<()> {
        let EncoderConfig { vocab_size, pad_token_id, .. } = self.config;
        ensure!(
            vocabulary.len() <= vocab_size,
            "a vocabulary of {} tokens for weights of {vocab_size} (vocab_size of {}): of another network",
            vocabulary.len(),
            self.folder.join(CONFIG).display()
        );
        ensure!(
            vocabulary.pad() == pad_token_id,
            "the vocabulary pads with {}, the weights with {pad_token_id} (pad_token_id of {}): of another network",
            vocabulary.pad(),
            self.folder.join(CONFIG).display()
        );
        Ok(())
    }

    /// Puts the weights into the variables of an encoder with these layers hung on it; a classifier that they lack, or have for another
    /// number of classes, and the layers, stay as they are.
    ///
    /// # Errors
    /// Where the file is missing, damaged, or of another network; nothing is set then.
    pub fn load(&self, vars: &Vars, layers: &[LayerConfig]) -> Result<Found> {
        let path = first(&self.folder, &WEIGHTS)
            .with_context(|| format!("{}: none of {} is there", self.folder.display(), WEIGHTS.join(", ")))?;
        let at = || path.display().to_string();
        let bytes = std::fs::read(&path).with_context(|| format!("{}: not readable", at()))?;
        let weights = Weights::read(&path, &bytes).with_context(at)?;
        let head = |name: &str| ["classifier.", "pooler.", "pre_classifier."].iter().any(|start| name.starts_with(start));
        let hung = |name: &str| name.split('.').any(|part| layers.iter().any(|layer| layer.kind == part));
        let names = NameMap { rename: &|name| renamed(self.config.family, name), keep_initial: &|name| head(name) || hung(name) };
        let mut found = Found::default();
        let all = vars.all().len();
        weights
            .load(vars, &names, |fate, name, _| match fate {
                Outcome::Fresh => found.fresh.push(name.to_string()),
                Outcome::Surplus => found.surplus.push(name.to_string()),
                _ => {}
            })
            .with_context(at)?;
        found.matched = all - found.fresh.len();
        Ok(found)
    }

    /// The same, of an encoder whose classifier the weights must have.
    ///
    /// # Errors
    /// As [`Pretrained::load`], and where a part of the classifier is missing.
    pub fn load_whole(&self, vars: &Vars) -> Result<()> {
        let found = self.load(vars, &[])?;
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
        assert!(nowhere.contains("/nowhere/config.json") && nowhere.contains("tokenizer.json is wanted"));
        Ok(())
    }
}

//! `Vocabulary`: converts texts to token ids. It is trained on the training texts (words or word pieces) or read from a
//! `tokenizer.json` or a list of word pieces, and saved as a `tokenizer.json` beside a run's checkpoints.

mod build;
pub(crate) mod folder;

use crate::pieces;
use anyhow::{Context, Result, ensure};
use build::{Manner, Special, converted};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sncn_train::text_file;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PaddingParams, PreTokenizedString, PreTokenizer, Tokenizer,
    TruncationParams,
};

/// The origin of a vocabulary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum VocabularyConfig {
    /// The most frequent words of the training texts, in lower case.
    Words {
        /// The number of tokens, special tokens included.
        size: usize,
    },
    /// Word pieces trained on the training texts, in lower case.
    Pieces {
        /// The number of tokens, special tokens included.
        size: usize,
    },
    /// A file: `tokenizer.json`, or a list of word pieces, one per line, that includes \[PAD\], \[UNK\], \[CLS\] and \[SEP\].
    File {
        /// The path of the file.
        path: PathBuf,
    },
}

const PAD: &str = "[PAD]";
const UNKNOWN: &str = "[UNK]";
/// The special tokens, in the order of their ids in trained vocabularies.
const SPECIAL: [&str; 4] = [PAD, UNKNOWN, "[CLS]", "[SEP]"];

/// Converts texts to token ids.
#[derive(Clone)]
pub struct Vocabulary {
    tokenizer: Tokenizer,
    pad: u32,
}

/// The count of every word of the texts, as split by the tokenizer.
fn counted<'a>(tokenizer: &Tokenizer, texts: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, u64>> {
    let (normalizer, cutter) = (tokenizer.get_normalizer(), tokenizer.get_pre_tokenizer());
    let (normalizer, cutter) = normalizer.zip(cutter).context("a tokenizer without a normalizer")?;
    let texts: Vec<&str> = texts.collect();
    let count = |texts: &[&str]| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for text in texts {
            let mut text = NormalizedString::from(clean(text));
            normalizer.normalize(&mut text).map_err(converted)?;
            let mut words = PreTokenizedString::from(text);
            cutter.pre_tokenize(&mut words).map_err(converted)?;
            for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
                *counts.entry(word.to_string()).or_default() += 1;
            }
        }
        Ok(counts)
    };
    let parts = texts.par_chunks(1000).map(count).collect::<Result<Vec<_>>>()?;
    Ok(parts
        .into_iter()
        .reduce(|mut sum, part| {
            part.into_iter().for_each(|(word, count)| *sum.entry(word).or_default() += count);
            sum
        })
        .unwrap_or_default())
}

impl Vocabulary {
    /// Trains a vocabulary on `texts`, or reads its file.
    ///
    /// # Errors
    /// If the size is too small, or the file is missing, damaged or lacks a special token.
    pub fn new<'a>(config: &VocabularyConfig, texts: impl Iterator<Item = &'a str>) -> Result<Self> {
        let (kind, size) = match config {
            VocabularyConfig::File { path } => return Self::read(path),
            VocabularyConfig::Words { size } => ("WordLevel", *size),
            VocabularyConfig::Pieces { size } => ("WordPiece", *size),
        };
        ensure!(size > SPECIAL.len(), "vocabulary: size is {size}; more than {} is accepted", SPECIAL.len());
        let special = SPECIAL.map(str::to_string);
        let numbered = |tokens: &[String]| tokens.iter().enumerate().map(|(id, token)| (token.clone(), json!(id))).collect();
        let manner = Manner::new(Special::bert());
        let counts = counted(&build::bert(kind, numbered(&special), &manner)?, texts)?;
        let room = size - special.len();
        let learnt = if kind == "WordLevel" { pieces::words(&counts, room) } else { pieces::pieces(&counts, room) };
        // a text may contain the name of a special token
        let learnt = learnt.into_iter().filter(|token| !SPECIAL.contains(&token.as_str()));
        Self::of(build::bert(kind, numbered(&special.into_iter().chain(learnt).collect::<Vec<_>>()), &manner)?, PAD)
    }

    /// Reads a file ending in `.json` as a `tokenizer.json`, any other as a list of word pieces.
    ///
    /// # Errors
    /// If the file is missing, damaged or lacks a special token.
    pub fn read(path: &Path) -> Result<Self> {
        let at = || path.display().to_string();
        let tokenizer = if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
            Tokenizer::from_bytes(text_file::read(path)?.text).map_err(converted)
        } else {
            build::bert("WordPiece", build::lines(path)?, &Manner::new(Special::bert()))
        };
        Self::of(tokenizer.with_context(at)?, PAD).with_context(at)
    }

    /// The vocabulary of a tokenizer that pads with the token `pad`.
    fn of(tokenizer: Tokenizer, pad: &str) -> Result<Self> {
        let named = [pad, PAD, "<pad>"].iter().find_map(|token| tokenizer.token_to_id(token));
        let pad = named.or_else(|| tokenizer.get_padding().map(|padding| padding.pad_id));
        Ok(Self { pad: pad.context("the vocabulary has no token for padding ([PAD] or <pad>)")?, tokenizer })
    }

    /// The id of the padding token.
    pub fn pad(&self) -> u32 {
        self.pad
    }

    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The token with the largest id, and that id.
    pub(crate) fn largest(&self) -> Option<(String, u32)> {
        self.tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The id of the unknown token, if there is one.
    pub fn unknown(&self) -> Option<u32> {
        [UNKNOWN, "<unk>"].iter().find_map(|token| self.id(token))
    }

    /// Whether an id is a special token: padding, begin and end of a text, unknown.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.unknown() == Some(id) || self.tokenizer.get_added_vocabulary().is_special_token(&self.token(id).unwrap_or_default())
    }

    /// The token with an id.
    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// The ids of every text, at most `longest` per text including the begin and end tokens, which every text has.
    ///
    /// # Errors
    /// If `longest` is less than 3, or the tokenizer fails.
    pub fn encode(&self, texts: &[&str], longest: usize) -> Result<Vec<Vec<u32>>> {
        let mut tokenizer = self.cutting(longest)?;
        tokenizer.with_padding(None);
        let encode = |text: &&str| Ok(tokenizer.encode_fast(clean(text), true).map_err(converted)?.get_ids().to_vec());
        texts.par_iter().map(encode).collect()
    }

    /// The tokenizer that cuts texts to `longest` tokens.
    fn cutting(&self, longest: usize) -> Result<Tokenizer> {
        ensure!(longest > 2, "texts are cut to {longest} tokens; expected more than 2");
        let mut tokenizer = self.tokenizer.clone();
        let truncation = TruncationParams { max_length: longest, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(converted)?;
        Ok(tokenizer)
    }

    /// The text of a `tokenizer.json` that cuts texts to `longest` tokens and pads those of a batch to the longest of them.
    ///
    /// # Errors
    /// As [`Vocabulary::encode`].
    pub fn to_json_of_batches(&self, longest: usize) -> Result<String> {
        let mut tokenizer = self.cutting(longest)?;
        let pad_token = self.token(self.pad).unwrap_or_default();
        tokenizer.with_padding(Some(PaddingParams { pad_id: self.pad, pad_token, ..PaddingParams::default() }));
        tokenizer.to_string(false).map_err(converted)
    }

    /// The vocabulary as the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// If the tokenizer cannot be serialised.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(false).map_err(converted)
    }
}

/// Removes HTML line breaks.
fn clean(text: &str) -> String {
    text.replace("<br />", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 4] = ["A good film.<br />A good plot!", "a bad film", "Bad, bad plot.", "unseen unseen"];

    fn learnt(config: &VocabularyConfig) -> Result<Vocabulary> {
        Vocabulary::new(config, TEXTS.into_iter())
    }

    #[test]
    fn words_are_learnt_by_their_number_and_cut() -> Result<()> {
        let words = learnt(&VocabularyConfig::Words { size: 9 })?;
        assert_eq!((words.len(), words.pad()), (9, 0));
        let tokens = |ids: &[u32]| ids.iter().map(|&id| words.token(id).unwrap()).collect::<Vec<_>>();
        let ids = words.encode(&["A BAD, strange film\0", "", "bad bad bad bad"], 6)?;
        assert_eq!(tokens(&ids[0])[..3], ["[CLS]", "a", "bad"]);
        assert_eq!((ids[0].len(), ids[1].len(), tokens(&ids[2]).join(" ")), (6, 2, "[CLS] bad bad bad bad [SEP]".to_string()));
        assert_eq!(words.encode(&["bad bad bad bad bad bad"], 4)?[0].len(), 4);
        assert!(words.encode(&["a"], 2).is_err() && learnt(&VocabularyConfig::Words { size: 4 }).is_err());
        Ok(())
    }

    #[test]
    fn a_vocabulary_is_a_function_of_its_texts_and_survives_its_file() -> Result<()> {
        for config in [VocabularyConfig::Words { size: 30 }, VocabularyConfig::Pieces { size: 60 }] {
            let (one, two) = (learnt(&config)?, learnt(&config)?);
            assert_eq!(one.to_json()?, two.to_json()?, "{config:?}");
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("tokenizer.json");
            std::fs::write(&path, one.to_json()?)?;
            let read = Vocabulary::new(&VocabularyConfig::File { path }, std::iter::empty())?;
            assert_eq!(read.encode(&TEXTS, 20)?, one.encode(&TEXTS, 20)?);
        }
        let pieces = learnt(&VocabularyConfig::Pieces { size: 60 })?;
        let unknown = pieces.id(UNKNOWN).unwrap();
        assert!(!pieces.encode(&["goodplot"], 20)?[0].contains(&unknown), "an unseen word is cut into pieces");
        Ok(())
    }

    #[test]
    fn files_that_do_not_fit_are_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let error = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            format!("{:#}", Vocabulary::read(&path).err().unwrap())
        };
        assert!(error("vocab.txt", "[PAD]\n[UNK]\na\n").contains("vocab.txt: [CLS] is not in it"));
        assert!(error("vocab.txt", "[PAD]\na\na\n").contains("vocab.txt:3: \"a\" is repeated"));
        assert!(error("tokenizer.json", "{}").contains("tokenizer.json"));
        std::fs::write(folder.path().join("vocab.txt"), "[PAD]\n[UNK]\n[CLS]\n[SEP]\nun\n##seen\n")?;
        let read = Vocabulary::read(&folder.path().join("vocab.txt"))?;
        assert_eq!(read.encode(&["Unseen"], 9)?, [[2, 4, 5, 3]]);
        Ok(())
    }
}

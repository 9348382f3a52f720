//! Tokenizers in the form of a `tokenizer.json`, from a vocabulary and the settings beside it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value, json};
use sncn_train::text_file;
use std::path::Path;
use tokenizers::Tokenizer;

/// Converts an error of `tokenizers`.
pub(super) fn converted(error: tokenizers::Error) -> anyhow::Error {
    anyhow!("{error}")
}

/// A list of word pieces, one a line: the pieces with their numbers.
///
/// # Errors
/// If a piece is repeated; the error names the line.
pub(super) fn lines(path: &Path) -> Result<Map<String, Value>> {
    let mut vocabulary = Map::new();
    for (line, token) in text_file::read(path)?.text.lines().enumerate() {
        if vocabulary.insert(token.to_string(), json!(line)).is_some() {
            bail!("{}:{}: {} is repeated", path.display(), line + 1, text_file::quoted(token))
        }
    }
    Ok(vocabulary)
}

/// The names of the special tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Special {
    pub(super) pad: String,
    pub(super) unknown: String,
    pub(super) begin: String,
    pub(super) end: String,
    pub(super) mask: String,
}

impl Special {
    /// Those of BERT and DistilBERT.
    pub(super) fn bert() -> Self {
        Self::of(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    }

    /// Those of RoBERTa.
    pub(super) fn roberta() -> Self {
        Self::of(["<pad>", "<unk>", "<s>", "</s>", "<mask>"])
    }

    fn of(names: [&str; 5]) -> Self {
        let [pad, unknown, begin, end, mask] = names.map(str::to_string);
        Self { pad, unknown, begin, end, mask }
    }

    fn all(&self) -> [&String; 5] {
        [&self.pad, &self.unknown, &self.begin, &self.end, &self.mask]
    }
}

/// How texts are normalised and cut before words become pieces.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manner {
    pub(super) special: Special,
    /// Whether letters become small.
    pub(super) lowercase: bool,
    /// Whether accents are removed; absent: where letters become small.
    pub(super) strip_accents: Option<bool>,
    /// Whether every Chinese character is a word of its own.
    pub(super) chinese: bool,
    /// Whether texts are cut at punctuation as well as at spaces, and cleaned.
    pub(super) basic: bool,
    /// Whether a text begins as if a space preceded it, for byte-level pairs.
    pub(super) prefix_space: bool,
    /// Tokens beside those of the vocabulary, as `added_tokens` of a `tokenizer.json` has them, with their ids.
    pub(super) added: Vec<Value>,
}

impl Manner {
    /// BERT's, in lower case.
    pub(super) fn new(special: Special) -> Self {
        let (strip_accents, added) = (None, Vec::new());
        Self { special, lowercase: true, strip_accents, chinese: true, basic: true, prefix_space: false, added }
    }
}

/// An entry of `added_tokens`.
pub(super) fn added(id: u64, content: &str, special: bool) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": !special, "special": special})
}

/// The id of a token.
///
/// # Errors
/// If the vocabulary does not have it.
fn id(vocabulary: &Map<String, Value>, token: &str) -> Result<u64> {
    vocabulary.get(token).and_then(Value::as_u64).with_context(|| format!("{token} is not in it"))
}

/// The added tokens: the special ones of the vocabulary, and those of the manner, in the order of their ids.
fn all_added(vocabulary: &Map<String, Value>, manner: &Manner) -> Vec<Value> {
    let is_stated = |token: &str| manner.added.iter().any(|added| added["content"] == token);
    let special = manner.special.all().into_iter().filter(|token| !is_stated(token));
    let mut all: Vec<Value> = special.filter_map(|token| Some(added(vocabulary.get(token)?.as_u64()?, token, true))).collect();
    all.extend(manner.added.iter().cloned());
    all.sort_by_key(|added| added["id"].as_u64());
    all.dedup();
    all
}

/// A tokenizer of words (`WordLevel`) or pieces (`WordPiece`) as BERT has them.
///
/// # Errors
/// If a special token is missing, or an added token cannot have its id.
pub(super) fn bert(kind: &str, vocabulary: Map<String, Value>, manner: &Manner) -> Result<Tokenizer> {
    let special = &manner.special;
    for token in [&special.pad, &special.unknown, &special.begin, &special.end] {
        id(&vocabulary, token)?;
    }
    let (begin, end) = (id(&vocabulary, &special.begin)?, id(&vocabulary, &special.end)?);
    let added = all_added(&vocabulary, manner);
    let mut model = json!({"type": kind, "unk_token": special.unknown, "vocab": vocabulary});
    if kind == "WordPiece" {
        model["continuing_subword_prefix"] = json!("##");
        model["max_input_chars_per_word"] = json!(100);
    }
    let normalizer = json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": manner.chinese,
        "strip_accents": manner.strip_accents, "lowercase": manner.lowercase});
    let cutter = if manner.basic { "BertPreTokenizer" } else { "WhitespaceSplit" };
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": if manner.basic { normalizer } else { Value::Null },
        "pre_tokenizer": {"type": cutter},
        "post_processor": {"type": "BertProcessing", "sep": [special.end, end], "cls": [special.begin, begin]},
        "decoder": null, "model": model,
    });
    built(&file, &added)
}

/// A tokenizer of byte-level pairs as RoBERTa has them; `merges` are the pairs that become one piece, the first first.
///
/// # Errors
/// As [`bert`].
pub(super) fn byte_pairs(vocabulary: Map<String, Value>, merges: &[(&str, &str)], manner: &Manner) -> Result<Tokenizer> {
    let special = &manner.special;
    let (begin, end) = (id(&vocabulary, &special.begin)?, id(&vocabulary, &special.end)?);
    let mut added = all_added(&vocabulary, manner);
    // the space before it belongs to it
    added.iter_mut().filter(|added| added["content"] == special.mask).for_each(|mask| mask["lstrip"] = json!(true));
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": manner.prefix_space, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "RobertaProcessing", "sep": [special.end, end], "cls": [special.begin, begin],
            "trim_offsets": true, "add_prefix_space": manner.prefix_space},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "", "end_of_word_suffix": "",
            "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    });
    built(&file, &added)
}

/// The tokenizer of a file, if the added tokens got their ids.
fn built(file: &Value, added: &[Value]) -> Result<Tokenizer> {
    let tokenizer = Tokenizer::from_bytes(file.to_string()).map_err(converted)?;
    for token in added {
        let (content, wanted) = (token["content"].as_str().unwrap_or_default(), token["id"].as_u64());
        let found = tokenizer.token_to_id(content).map(u64::from);
        ensure!(
            found == wanted,
            "the added token {content:?} has the id {}, but {} would be its place: the vocabulary is not the one it was added to",
            wanted.unwrap_or_default(),
            found.unwrap_or_default()
        );
    }
    Ok(tokenizer)
}

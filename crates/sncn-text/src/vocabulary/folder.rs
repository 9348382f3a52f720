//! The tokenizer of a folder in Hugging Face's layout: `tokenizer.json`, or `vocab.txt` (word pieces), or `vocab.json` with `merges.txt`
//! (byte-level pairs); the latter two by the settings of `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json`.

use super::Vocabulary;
use super::build::{self, Manner, Special, added, converted};
use crate::backbone::Family;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use sncn_train::text_file;
use std::path::{Path, PathBuf};
use tokenizers::Tokenizer;

/// Files that a tokenizer may be in, the best first.
const FILES: [&str; 3] = ["tokenizer.json", "vocab.txt", "vocab.json"];
/// Tokenizers that are not read, and their files.
const OTHERS: [&str; 5] = ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "bpe.codes", "tekken.json"];
/// Beginnings of `tokenizer_class` whose `vocab.txt` is a list of word pieces.
const WORD_PIECES: [&str; 6] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "RetriBertTokenizer",
    "PreTrainedTokenizer",
];

/// A tokenizer with what the files beside it say.
pub(crate) struct Folder {
    /// The tokenizer.
    pub(crate) vocabulary: Vocabulary,
    /// The file that it is in.
    pub(crate) path: PathBuf,
    /// The most tokens that it gives of a text (`model_max_length`), if that is stated.
    pub(crate) longest: Option<usize>,
}

/// The object in a file of JSON; empty if there is no such file.
fn object(folder: &Path, name: &str) -> Result<Map<String, Value>> {
    let path = folder.join(name);
    if !path.is_file() {
        return Ok(Map::new());
    }
    match serde_json::from_str(&text_file::read(&path)?.text).with_context(|| path.display().to_string())? {
        Value::Object(keys) => Ok(keys),
        _ => bail!("{}: an object of settings is wanted", path.display()),
    }
}

/// What a setting says: absent where it is null.
fn flag(settings: &Map<String, Value>, key: &str, file: &str) -> Result<Option<bool>> {
    match settings.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => bail!("{file}: {key} is {}; true, false and null are accepted", text_file::quoted(&other.to_string())),
    }
}

/// The name of a token, written as it is or as an object.
fn token(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_string)
}

/// The settings of a folder, beginning with those of the family.
fn manner(folder: &Path, family: Family, settings: &Map<String, Value>) -> Result<Manner> {
    let file = folder.join("tokenizer_config.json").display().to_string();
    let mut manner = Manner::new(if family == Family::Roberta { Special::roberta() } else { Special::bert() });
    let flag = |key: &str, otherwise: bool| Ok::<_, anyhow::Error>(flag(settings, key, &file)?.unwrap_or(otherwise));
    manner.lowercase = flag("do_lower_case", true)?;
    manner.chinese = flag("tokenize_chinese_chars", true)?;
    manner.basic = flag("do_basic_tokenize", true)?;
    manner.prefix_space = flag("add_prefix_space", false)?;
    manner.strip_accents = self::flag(settings, "strip_accents", &file)?;
    // a decoder states all added tokens; before there was one, the map had the last word
    let decoder = settings.get("added_tokens_decoder").and_then(Value::as_object);
    let map = if decoder.is_some() { Map::new() } else { object(folder, "special_tokens_map.json")? };
    let special = &mut manner.special;
    let names = [
        (&mut special.pad, ["pad_token", "pad_token"]),
        (&mut special.unknown, ["unk_token", "unk_token"]),
        (&mut special.begin, ["cls_token", "bos_token"]),
        (&mut special.end, ["sep_token", "eos_token"]),
        (&mut special.mask, ["mask_token", "mask_token"]),
    ];
    for (name, [first, second]) in names {
        let stated = [&map, settings].into_iter().find_map(|keys| [first, second].iter().find_map(|key| token(keys.get(*key)?)));
        if let Some(stated) = stated {
            *name = stated;
        }
    }
    for (id, entry) in decoder.into_iter().flatten() {
        let id: u64 = id.parse().with_context(|| format!("{file}: added_tokens_decoder: {id:?} is no id"))?;
        let content = token(entry).with_context(|| format!("{file}: added_tokens_decoder: token {id} has no content"))?;
        let mut token = added(id, &content, false);
        for key in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
            if let Some(value) = self::flag(entry.as_object().unwrap_or(&Map::new()), key, &file)? {
                token[key] = json!(value);
            }
        }
        manner.added.push(token);
    }
    if decoder.is_none() {
        for (content, id) in object(folder, "added_tokens.json")? {
            let id =
                id.as_u64().with_context(|| format!("{}: {content:?} has no id", folder.join("added_tokens.json").display()))?;
            manner.added.push(added(id, &content, false));
        }
    }
    Ok(manner)
}

/// The pairs of a `merges.txt`.
fn merges<'a>(text: &'a str, path: &Path) -> Result<Vec<(&'a str, &'a str)>> {
    let lines = text.lines().enumerate().filter(|(i, line)| !(line.is_empty() || *i == 0 && line.starts_with("#version")));
    let pair = |(i, line): (usize, &'a str)| {
        let pair = line.split_once(' ').filter(|(_, second)| !second.contains(' '));
        pair.with_context(|| format!("{}:{}: {} is no pair of pieces", path.display(), i + 1, text_file::quoted(line)))
    };
    lines.map(pair).collect()
}

/// Reads the tokenizer of a folder whose encoder is of that family.
///
/// # Errors
/// If there is none, or it is damaged or of a kind that is not read; the error names the files.
pub(crate) fn read(folder: &Path, family: Family) -> Result<Folder> {
    let settings = object(folder, "tokenizer_config.json")?;
    let longest = settings.get("model_max_length").and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    let Some(name) = FILES.into_iter().find(|name| folder.join(name).is_file()) else {
        let other = OTHERS.iter().find(|name| folder.join(name).is_file());
        let has = other.map_or_else(String::new, |name| format!("; {name} is not read"));
        bail!(
            "{}: none of {} exists{has}: save the tokenizer with save_pretrained of a fast tokenizer of transformers, which writes tokenizer.json",
            folder.display(),
            FILES.join(", ")
        )
    };
    let path = folder.join(name);
    let at = || path.display().to_string();
    let manner = manner(folder, family, &settings)?;
    let tokenizer = match name {
        "tokenizer.json" => Tokenizer::from_bytes(text_file::read(&path)?.text).map_err(converted),
        "vocab.txt" => {
            let class = settings.get("tokenizer_class").and_then(Value::as_str).unwrap_or("BertTokenizer");
            ensure!(
                WORD_PIECES.iter().any(|known| class.strip_prefix(known).is_some_and(|rest| ["", "Fast"].contains(&rest))),
                "{}: tokenizer_class is {}; without a tokenizer.json, {} are accepted",
                folder.join("tokenizer_config.json").display(),
                text_file::quoted(class),
                WORD_PIECES.join(", ")
            );
            build::bert("WordPiece", build::lines(&path)?, &manner)
        }
        _ => {
            let pairs = folder.join("merges.txt");
            let text = text_file::read(&pairs)?.text;
            build::byte_pairs(object(folder, name)?, &merges(&text, &pairs)?, &manner)
        }
    };
    let vocabulary = Vocabulary::of(tokenizer.with_context(at)?, &manner.special.pad).with_context(at)?;
    Ok(Folder { vocabulary, path, longest })
}

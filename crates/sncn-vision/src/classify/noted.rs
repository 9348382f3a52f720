//! What a file of weights that this program wrote, a checkpoint or an exported file, notes of its classes, of how images become inputs and
//! of the network's norm; and the names of classes in a file of their own.

use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use sncn_record::checkpoint::{self, KEY};
use sncn_train::text_file;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub(crate) use sncn_onnx::CLASSES;

/// The name under which an ONNX file notes how images become inputs, the key `input` of a row.
pub(crate) const INPUT: &str = "sncn.input";

/// The largest header of a safetensors file, as the format has it.
const LARGEST: u64 = 100_000_000;

/// What the header of a safetensors file has beside its tensors.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    notes: Option<HashMap<String, String>>,
}

/// Notes in the header of a file of weights; nothing where it is of another format, or notes nothing.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// Whether it is a checkpoint.
    pub(super) is_checkpoint: bool,
    /// The key `input` of its run.
    pub(super) input: Option<Value>,
    /// The key `norm` of its run.
    pub(super) norm: Option<Value>,
    /// Class names, in label order.
    pub(super) classes: Option<Vec<String>>,
}

impl Noted {
    /// Reads the notes of a file. What cannot be read is told when its weights are.
    pub(super) fn read(path: &Path) -> Self {
        let notes = notes(path).unwrap_or_default();
        if let Some(header) = notes.get(KEY).and_then(|text| serde_json::from_str::<checkpoint::Header>(text).ok()) {
            let noted = |key: &str| header.run.run.get(key).cloned();
            return Self { input: noted("input"), norm: noted("norm"), classes: Some(header.classes), is_checkpoint: true };
        }
        let parsed = |key: &str| notes.get(key).and_then(|text| serde_json::from_str(text).ok());
        let classes = parsed("classes").and_then(|classes| serde_json::from_value(classes).ok());
        Self { input: parsed("input"), norm: parsed("norm"), classes, is_checkpoint: false }
    }
}

/// The texts in the header of a safetensors file: 8 bytes of its length, and the header.
fn notes(path: &Path) -> Option<HashMap<String, String>> {
    let mut file = File::open(path).ok()?;
    let mut length = [0; 8];
    file.read_exact(&mut length).ok()?;
    let count = u64::from_le_bytes(length);
    if count > LARGEST {
        return None;
    }
    let mut header = Vec::new();
    file.take(count).read_to_end(&mut header).ok()?;
    // the crate's own function wants the whole file
    serde_json::from_slice::<Header>(&header).ok()?.notes
}

/// The names in a file, one a line; of a line with more words, such as a wnid with its names, the first.
pub(super) fn class_names(path: &Path) -> Result<Vec<String>> {
    let text = text_file::read(path)?.text;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let name = |line: &str| line.split_whitespace().next().filter(|word| is_wnid(word)).unwrap_or(line).to_string();
    Ok(lines.map(name).collect())
}

/// Whether a word is the number of a synset, as ImageNet's classes are named: n and eight digits.
pub(super) fn is_wnid(word: &str) -> bool {
    word.len() == 9 && word.starts_with('n') && word[1..].bytes().all(|byte| byte.is_ascii_digit())
}

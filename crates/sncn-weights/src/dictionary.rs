//! `Dictionary`: a dictionary of tensors in a file, by name, shape and type; values are read later, and only those that are needed.

use crate::pth::StorageSlice;
use std::fmt::Write;
use std::sync::Arc;

/// The most characters of a file that an error message quotes.
pub(crate) const QUOTED: usize = 200;

/// Where a tensor's values are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// In a storage of a file of `torch.save`.
    Storage(StorageSlice),
    /// In a safetensors file, under this name.
    Named(Arc<str>),
    /// Nowhere: why it cannot be read.
    Fault(String),
}

/// A tensor that has not been read.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) shape: Vec<usize>,
    /// The element type, as the file's format calls it.
    pub(crate) kind: String,
    pub(crate) source: Source,
}

/// A name and its tensor.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) tensor: Arc<Described>,
    /// The index of the file it lies in, of weights in several files.
    pub(crate) part: usize,
}

impl Entry {
    /// Returns the name in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the shape; empty where the tensor cannot be read.
    pub fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    /// Why the tensor cannot be read, if it cannot.
    pub(crate) fn fault(&self) -> Option<&str> {
        match &self.tensor.source {
            Source::Fault(what) => Some(what),
            _ => None,
        }
    }

    /// Returns the element type, as the file's format calls it.
    pub fn kind(&self) -> &str {
        &self.tensor.kind
    }
}

/// A dictionary of tensors, at some depth of a file.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    pub(crate) path: Vec<Arc<str>>,
    pub(crate) entries: Vec<Entry>,
}

impl Dictionary {
    /// Returns the keys and attributes that lead to it, joined by dots; empty where the file's object is the dictionary itself.
    pub fn path(&self) -> String {
        self.path.join(".")
    }

    /// Returns its tensors, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The path, or what stands for it where it is empty.
    pub(crate) fn title(&self) -> String {
        if self.path.is_empty() { "the file itself".to_string() } else { clip(&self.path(), 60) }
    }
}

/// The beginning of a text, of at most `most` characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

/// The beginning of a list, of at most [`QUOTED`] characters.
pub(crate) fn list(items: impl ExactSizeIterator<Item = String>) -> String {
    let count = items.len();
    let mut text = String::new();
    for (at, item) in items.enumerate() {
        if at > 0 && text.chars().count() + item.chars().count() > QUOTED {
            // a failed write to a string does not occur
            let _ = write!(text, "; and {} more", count - at);
            break;
        }
        text += if at > 0 { "; " } else { "" };
        text += &clip(&item, QUOTED);
    }
    text
}

/// What dictionaries there are: path, number of tensors, first names.
pub(crate) fn contents(all: &[Dictionary]) -> String {
    let one = |dictionary: &Dictionary| {
        let entries = &dictionary.entries;
        let first: Vec<_> = entries.iter().take(3).map(|entry| clip(&entry.name, 40)).collect();
        let more = if entries.len() > first.len() { ", …" } else { "" };
        let tensors = if entries.len() == 1 { "tensor" } else { "tensors" };
        format!("{} ({} {tensors}: {}{more})", dictionary.title(), entries.len(), first.join(", "))
    };
    if all.is_empty() {
        "no dictionary of tensors; save the state_dict() of the network".to_string()
    } else {
        list(all.iter().map(one))
    }
}

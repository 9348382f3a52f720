//! `Weights`: the tensors of a file or folder of another program, and the dictionary among them that a network's variables are in.
//!
//! One rule. Candidates are all dictionaries of tensors, at any depth, that have a name of the network after what wrappers
//! added is left out (`prefix.rs`). The one with most names of the network is taken; of equal ones the first in the file. What else has
//! names of the network is told with their number.

use crate::dictionary::{Described, Dictionary, Entry, Source, contents, list};
use crate::error::{Result, WeightsError};
use crate::folder;
use crate::format::Format;
use crate::index::Index;
use crate::part::Part;
use crate::prefix::{Matching, Prefix};
use crate::pth::{Pth, PthError};
use crate::state_dict::{NameMap, StateDict};
use candle_core::safetensors::BufferedSafetensors;
use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What lies at a path.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file, with its bytes.
    File(Vec<u8>),
    /// A folder, with the names in it.
    Folder(Vec<String>),
}

/// The tensors of a file, of the files of an index, or of a folder. Only those that a network needs are made.
pub struct Weights {
    path: PathBuf,
    parts: Vec<Part>,
    dictionaries: Vec<Dictionary>,
}

impl Weights {
    /// Opens the weights at a path: a file of `torch.save`, a TorchScript archive, a safetensors file, an index of several such files, or
    /// a folder with one of them. What a file is, its content tells. `look` reads a file, or lists a folder.
    ///
    /// # Errors
    /// Returns an error that names the file where it cannot be read, is damaged, is of another format, or parts are missing.
    pub fn open(path: &Path, look: impl Fn(&Path) -> io::Result<Content>) -> Result<Self> {
        let at = |path: &Path, error| WeightsError::At { path: path.to_path_buf(), error: Box::new(error) };
        let seen = |path: &Path| look(path).map_err(|error| at(path, WeightsError::Read(error.kind())));
        let (path, bytes) = match seen(path)? {
            Content::File(bytes) => (path.to_path_buf(), bytes),
            Content::Folder(names) => {
                let name = folder::choose(&names).map_err(|what| at(path, WeightsError::Folder(what)))?;
                let inner = path.join(name);
                match seen(&inner)? {
                    Content::File(bytes) => (inner, bytes),
                    Content::Folder(_) => return Err(at(&inner, WeightsError::Folder("a folder; a file is wanted".into()))),
                }
            }
        };
        let opened = match Format::of(&bytes) {
            Format::Index => Self::indexed(&path, &bytes, &look),
            _ => Self::read(bytes),
        };
        let mut weights =
            opened.map_err(|error| if matches!(error, WeightsError::At { .. }) { error } else { at(&path, error) })?;
        weights.path = path;
        Ok(weights)
    }

    /// Reads the bytes of one file.
    ///
    /// # Errors
    /// As [`Weights::open`], but the error names no file.
    pub fn read(bytes: Vec<u8>) -> Result<Self> {
        let (part, dictionaries) = match Format::of(&bytes) {
            Format::Torch => {
                let file = Pth::read(bytes)?;
                let dictionaries = file.dictionaries().to_vec();
                (Part::Pth(file), dictionaries)
            }
            Format::Safetensors => {
                let file = BufferedSafetensors::new(bytes).map_err(|error| WeightsError::Safetensors(error.to_string()))?;
                let mut tensors = file.tensors();
                tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
                let mut entries = Vec::new();
                for (name, view) in &tensors {
                    let (name, shape, kind): (Arc<str>, _, _) =
                        (name.as_str().into(), view.shape().to_vec(), format!("{:?}", view.dtype()));
                    let tensor = Arc::new(Described { shape, kind, source: Source::Named(name.clone()) });
                    entries.push(Entry { name, tensor, part: 0 });
                }
                drop(tensors);
                let dictionary = Dictionary { path: Vec::new(), entries };
                (Part::Safetensors(file), vec![dictionary])
            }
            other => return Err(WeightsError::Format(other)),
        };
        Ok(Self { path: PathBuf::new(), parts: vec![part], dictionaries })
    }

    /// Opens the files of an index.
    fn indexed(path: &Path, bytes: &[u8], look: impl Fn(&Path) -> io::Result<Content>) -> Result<Self> {
        let index = Index::read(bytes)?;
        let mut all = Self { path: PathBuf::new(), parts: Vec::new(), dictionaries: vec![Dictionary::default()] };
        let mut missing = Vec::new();
        for (name, wanted) in &index.files {
            let file = folder::beside(path, name);
            let at = |error| WeightsError::At { path: file.clone(), error: Box::new(error) };
            let bytes = match look(&file) {
                Ok(Content::File(bytes)) => bytes,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(WeightsError::Read(error.kind()))),
                _ => {
                    missing.push(name);
                    continue;
                }
            };
            let one = Self::read(bytes).map_err(at)?;
            let wanted: HashSet<&str> = wanted.iter().map(String::as_str).collect();
            let entries = one.dictionaries.into_iter().flat_map(|dictionary| dictionary.entries);
            let part = all.parts.len();
            let entries = entries.filter(|entry| wanted.contains(entry.name())).map(|entry| Entry { part, ..entry });
            all.dictionaries[0].entries.extend(entries);
            all.parts.extend(one.parts);
        }
        match missing.first() {
            Some(first) => {
                let (missing, all, first) = (missing.len(), index.files.len(), first.chars().take(100).collect());
                Err(WeightsError::Parts { missing, all, first })
            }
            None => Ok(all),
        }
    }

    /// Returns the path of the file that was opened: in a folder, that of the file in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the dictionaries of tensors, in the order of the file.
    pub fn dictionaries(&self) -> &[Dictionary] {
        &self.dictionaries
    }

    /// Finds the dictionary that the variables of these names are in, by the rule above. `key` names one: by the keys and attributes that
    /// lead to it, or to one above it, joined by dots, or by the beginning of the names in it, or by one after the other.
    ///
    /// # Errors
    /// Returns an error that tells what is there where nothing has a name of the network or is under the key, and where two tensors
    /// have one name.
    pub fn find<'w>(&'w self, names: &[String], map: &'w NameMap<'w>, key: Option<&str>) -> Result<StateDict<'w>> {
        let known: HashSet<&str> = names.iter().map(String::as_str).collect();
        let matching = Matching { names: &known, rename: map.rename };
        let candidates =
            key.map_or_else(|| self.dictionaries.iter().map(Cow::Borrowed).collect(), |key| under(&self.dictionaries, key));
        if let Some(key) = key.filter(|_| candidates.is_empty()) {
            return Err(WeightsError::Key { key: key.to_string(), holds: contents(&self.dictionaries) });
        }
        // the candidates: a dictionary, a prefix, and how many names of the network they give
        let mut fits = Vec::new();
        for (at, dictionary) in candidates.iter().enumerate() {
            fits.extend(matching.fits(&dictionary.entries).into_iter().map(|(prefix, count)| (at, prefix, count)));
        }
        // of equal ones max_by_key would take the last
        let best = (0..fits.len()).rev().max_by_key(|&at| fits[at].2);
        let Some(best) = best else { return Err(WeightsError::Other(contents(&self.dictionaries))) };
        let (chosen, prefix, count) = fits.remove(best);
        let entries = &candidates[chosen].entries;
        let found = matching.assign(entries, &prefix)?;
        let fault = |name: &String| found.get(name).and_then(|&at| Some((entries[at].name.to_string(), entries[at].fault()?)));
        if let Some((name, what)) = names.iter().find_map(fault) {
            return Err(PthError::Tensor { name, what: what.to_string() }.into());
        }
        let title = |at: usize, chain: &str| match (candidates[at].title(), chain) {
            (title, "") => title,
            (title, chain) => format!("{title}, names that begin with {chain}"),
        };
        let place = Some(title(chosen, prefix.chain())).filter(|_| self.dictionaries.len() > 1 || !prefix.chain().is_empty());
        let place = place.map(|title| format!("{title} ({count} of {} names)", known.len()));
        // another way to read a dictionary is worth a word only where its names begin otherwise
        let mut seen = HashSet::from([(chosen, prefix.chain().to_string()), (chosen, String::new())]);
        fits.retain(|(at, prefix, _)| seen.insert((*at, prefix.chain().to_string())));
        let other = |(at, prefix, count): &(usize, Prefix, usize)| {
            format!("{} ({count} of {} names)", title(*at, prefix.chain()), known.len())
        };
        let others = (!fits.is_empty()).then(|| list(fits.iter().map(other)));
        let dictionary = candidates.into_iter().nth(chosen).unwrap_or_default();
        Ok(StateDict { parts: &self.parts, entries: dictionary.into_owned().entries, found, map, place, others })
    }
}

/// What is under a key: the dictionaries at or below that path; if there are none, those whose names begin with the key, or with what
/// follows their path in it, without that beginning.
fn under<'d>(all: &'d [Dictionary], key: &str) -> Vec<Cow<'d, Dictionary>> {
    let below = |path: &str| path == key || path.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
    let at: Vec<_> = all.iter().filter(|dictionary| below(&dictionary.path())).map(Cow::Borrowed).collect();
    if !at.is_empty() {
        return at;
    }
    let cut = |dictionary: &'d Dictionary| {
        let rest = key.strip_prefix(&dictionary.path()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(key);
        let begin = format!("{}.", rest.trim_end_matches('.'));
        let cut = |entry: &Entry| Some(Entry { name: entry.name.strip_prefix(&begin)?.into(), ..entry.clone() });
        let entries: Vec<Entry> = dictionary.entries.iter().filter_map(cut).collect();
        (!entries.is_empty()).then(|| Cow::Owned(Dictionary { path: dictionary.path.clone(), entries }))
    };
    all.iter().filter_map(cut).collect()
}

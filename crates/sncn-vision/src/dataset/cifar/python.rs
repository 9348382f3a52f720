//! The publishers' python layout: pickles of `data` (N × 3072 bytes) and labels, read without running them.

use anyhow::{Context, Result, bail, ensure};
use sncn_core::pickle::{Id, Pickle};
use std::path::Path;

/// Reads a file and hands its pickle to `read`.
fn with<T>(path: &Path, read: impl FnOnce(&Pickle) -> Result<T>) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
    let pickle = Pickle::read(&bytes).with_context(|| format!("{}: truncated, or of another set", path.display()))?;
    read(&pickle).with_context(|| path.display().to_string())
}

fn entry(pickle: &Pickle, key: &str) -> Result<Id> {
    pickle.entry(pickle.root(), key).with_context(|| format!("the pickle has no key {key:?}: of another set"))
}

/// Class names, from the list under `key`.
///
/// # Errors
/// Where the file or the list is missing.
pub(super) fn names(path: &Path, key: &str) -> Result<Vec<String>> {
    with(path, |pickle| {
        let items = pickle.items(entry(pickle, key)?).with_context(|| format!("{key:?} is no list"))?;
        items.iter().map(|&name| pickle.text(name).with_context(|| format!("{key:?} holds what is no text"))).collect()
    })
}

/// The images as records of the binary layout: `label_bytes` bytes, the last of them the label under `key`, and the planes.
///
/// # Errors
/// Where the file is damaged or of another set.
pub(super) fn records(path: &Path, key: &str, label_bytes: usize, planes: usize) -> Result<Vec<u8>> {
    with(path, |pickle| {
        let (shape, data) = pickle.byte_array(entry(pickle, "data")?).context("\"data\" is no array of bytes in C order")?;
        ensure!(shape.len() == 2 && shape[1] == planes, "\"data\" has shape {shape:?}; (images, {planes}) is wanted");
        let labels = pickle.items(entry(pickle, key)?).with_context(|| format!("{key:?} is no list"))?;
        ensure!(labels.len() == shape[0], "{} labels for {} images", labels.len(), shape[0]);
        let mut records = Vec::with_capacity(shape[0] * (label_bytes + planes));
        for (&label, image) in labels.iter().zip(data.chunks_exact(planes)) {
            let Some(label) = pickle.int(label).and_then(|label| u8::try_from(label).ok()) else {
                bail!("{key:?} holds what is no label")
            };
            records.resize(records.len() + label_bytes - 1, 0);
            records.push(label);
            records.extend(image);
        }
        Ok(records)
    })
}

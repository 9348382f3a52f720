//! The publishers' python layout: pickles of `data` (N × 3072 bytes) and labels, read without running them.

use anyhow::{Context, Result, bail, ensure};
use sncn_weights::pickle::{Id, Pickle};

fn entry(pickle: &Pickle, key: &str) -> Result<Id> {
    pickle.entry(pickle.root(), key).with_context(|| format!("the pickle has no key {key:?}: of another set"))
}

fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    Pickle::read(bytes).context("truncated, or of another set")
}

/// Class names, from the list under `key`.
///
/// # Errors
/// Where the pickle is damaged or lacks the list.
pub(super) fn names(bytes: &[u8], key: &str) -> Result<Vec<String>> {
    let pickle = read(bytes)?;
    let items = pickle.items(entry(&pickle, key)?).with_context(|| format!("{key:?} is no list"))?;
    items.iter().map(|&name| pickle.text(name).with_context(|| format!("{key:?} holds what is no text"))).collect()
}

/// The images as records of the binary layout: `label_bytes` bytes, the last of them the label under `key`, and the planes.
///
/// # Errors
/// Where the pickle is damaged or of another set.
pub(super) fn records(bytes: &[u8], key: &str, label_bytes: usize, planes: usize) -> Result<Vec<u8>> {
    let pickle = read(bytes)?;
    let (shape, data) = pickle.byte_array(entry(&pickle, "data")?).context("\"data\" is no array of bytes in C order")?;
    ensure!(shape.len() == 2 && shape[1] == planes, "\"data\" has shape {shape:?}; (images, {planes}) is wanted");
    let labels = pickle.items(entry(&pickle, key)?).with_context(|| format!("{key:?} is no list"))?;
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
}

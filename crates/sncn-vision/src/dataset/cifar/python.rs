//! The publishers' Python layout: pickles of `data` (N × 3072 bytes) and labels, read without executing them.

use anyhow::{Context, Result, bail, ensure};
use sncn_weights::pickle::{Id, Pickle};

fn entry(pickle: &Pickle, key: &str) -> Result<Id> {
    pickle.entry(pickle.root(), key).with_context(|| format!("the pickle has no key {key:?}: of another data set"))
}

fn read(bytes: &[u8]) -> Result<Pickle<'_>> {
    Pickle::read(bytes).context("truncated, or of another data set")
}

/// The class names in the list under `key`.
pub(super) fn names(bytes: &[u8], key: &str) -> Result<Vec<String>> {
    let pickle = read(bytes)?;
    let items = pickle.items(entry(&pickle, key)?).with_context(|| format!("{key:?} is not a list"))?;
    items.iter().map(|&name| pickle.text(name).with_context(|| format!("{key:?} has an element that is not text"))).collect()
}

/// The images as records of the binary layout: `label_bytes` bytes, the last of which is the label under `key`, then the planes.
pub(super) fn records(bytes: &[u8], key: &str, label_bytes: usize, planes: usize) -> Result<Vec<u8>> {
    let pickle = read(bytes)?;
    let (shape, data) = pickle.byte_array(entry(&pickle, "data")?).context("\"data\" is not an array of bytes in C order")?;
    ensure!(shape.len() == 2 && shape[1] == planes, "\"data\" has shape {shape:?}; expected (images, {planes})");
    let labels = pickle.items(entry(&pickle, key)?).with_context(|| format!("{key:?} is not a list"))?;
    ensure!(labels.len() == shape[0], "{} labels for {} images", labels.len(), shape[0]);
    let mut records = Vec::with_capacity(shape[0] * (label_bytes + planes));
    for (&label, image) in labels.iter().zip(data.chunks_exact(planes)) {
        let Some(label) = pickle.int(label).and_then(|label| u8::try_from(label).ok()) else {
            bail!("{key:?} has an element that is not a label")
        };
        records.resize(records.len() + label_bytes - 1, 0);
        records.push(label);
        records.extend(image);
    }
    Ok(records)
}

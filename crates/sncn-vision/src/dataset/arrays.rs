//! Test images from `.npy` files: corrupted ones in the layout of CIFAR-10-C, and further sets in that of CIFAR-10.1.
//!
//! `<corruption>.npy` holds the test images at severity 1, then at 2, …, 5, and `labels.npy` their labels; `sncn-classify
//! corrupt` writes the same layout. A further set is a pair of files, images and labels.

use super::images::Images;
use super::npy::NpyFile;
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sncn_train::text_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The number of severities in a file.
const SEVERITIES: usize = 5;

/// A range of the images in a file.
pub(crate) struct Arrays {
    images: Arc<NpyFile>,
    labels: Arc<[usize]>,
    first: usize,
    count: usize,
    dims: Dims,
    classes: Vec<String>,
    described: String,
}

/// What the corrupted files of a folder hold: severities one after another, each of so many images. It is in `corrupted.json`
/// beside them; without that file they hold all five severities of all test images, as published sets do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contents {
    /// In the order of the rows.
    pub(crate) severities: Vec<usize>,
    /// Of each severity.
    pub(crate) images: usize,
}

/// The file that says what a folder of corrupted files holds.
pub(crate) const CONTENTS: &str = "corrupted.json";

impl Contents {
    /// Reads that of a folder; of one without the file, all severities of `images` images.
    ///
    /// # Errors
    /// If the file is damaged, or names a severity twice or one that is not 1 to 5.
    fn read(folder: &Path, images: usize) -> Result<Self> {
        let path = folder.join(CONTENTS);
        let at = || path.display().to_string();
        if !path.exists() {
            return Ok(Self { severities: (1..=SEVERITIES).collect(), images });
        }
        let contents: Self = serde_json::from_str(&text_file::read(&path)?.text).with_context(at)?;
        let mut known = contents.severities.clone();
        known.sort_unstable();
        known.dedup();
        ensure!(
            known.len() == contents.severities.len()
                && !known.is_empty()
                && known.iter().all(|one| (1..=SEVERITIES).contains(one)),
            "{}: severities {:?}; some of 1 to {SEVERITIES} are expected, each once",
            at(),
            contents.severities
        );
        Ok(contents)
    }
}

/// Opens the severities of a corruption in `folder`, each with its number; image size and classes are those of `like`.
///
/// # Errors
/// If a file is missing, damaged, of another shape or with another number of images than is said, or a label is not a class.
pub(crate) fn corrupted(folder: &Path, name: &str, like: &dyn Images) -> Result<Vec<(usize, Arc<dyn Images>)>> {
    let contents = Contents::read(folder, like.len())?;
    let (images, labels) = (folder.join(format!("{name}.npy")), folder.join("labels.npy"));
    let parts = read(&images, &labels, contents.severities.len(), like).with_context(|| format!("corruption {name}"))?;
    let (found, wanted) = (parts.first().map_or(0, |part| part.len()), contents.images);
    ensure!(
        found == wanted,
        "{}: {} rows; {} × {wanted} are expected, severities {:?} of {wanted} images. If it holds others, say so in {}: \
         {{\"severities\": [3], \"images\": 10}}",
        images.display(),
        found * parts.len(),
        parts.len(),
        contents.severities,
        folder.join(CONTENTS).display()
    );
    let named = contents.severities.into_iter().zip(parts).map(|(severity, part)| {
        let described = format!("{} at severity {severity}", part.described);
        (severity, Arc::new(Arrays { described, ..part }) as Arc<dyn Images>)
    });
    Ok(named.collect())
}

/// The two pairs of files, images and labels, that may hold the further test set `name`.
pub(crate) fn candidate_files(folder: &Path, name: &str) -> [(PathBuf, PathBuf); 2] {
    let within = folder.join(name);
    let beside = |what: &str| folder.join(format!("{name}_{what}.npy"));
    [(within.join("data.npy"), within.join("labels.npy")), (beside("data"), beside("labels"))]
}

/// Opens the further test set `name` in `folder`, `None` if it has no files; image size and classes are those of `like`.
///
/// # Errors
/// If one file of the pair is missing, a file is damaged or of another shape, or a label is not a class.
pub(crate) fn further(folder: &Path, name: &str, like: &dyn Images) -> Result<Option<Arc<dyn Images>>> {
    let Some((images, labels)) =
        candidate_files(folder, name).into_iter().find(|(images, labels)| images.exists() || labels.exists())
    else {
        return Ok(None);
    };
    let part = read(&images, &labels, 1, like).with_context(|| format!("test set {name}"))?.into_iter().next();
    Ok(part.map(|part| Arc::new(part) as Arc<dyn Images>))
}

/// Opens the images of a file as `parts` ranges of equal size.
fn read(path: &Path, label_path: &Path, parts: usize, like: &dyn Images) -> Result<Vec<Arrays>> {
    let images = Arc::new(NpyFile::open(path)?);
    let (at, shape, classes) = (path.display(), images.shape(), like.classes());
    ensure!(images.dtype() == "|u1", "{at}: elements of type {:?}; expected bytes (|u1)", images.dtype());
    let count = if parts == 1 { "images".to_string() } else { format!("{parts} × images") };
    let sides = like.dims().map_or("height, width".to_string(), |Dims { height, width }| format!("{height}, {width}"));
    let wanted = || format!("{at}: shape {shape:?}; expected ({count}, {sides}, 3)");
    let &[rows, height, width, 3] = shape else { bail!(wanted()) };
    let dims = Dims { height, width };
    ensure!(like.dims().is_none_or(|like| like == dims) && dims.pixels() > 0, wanted());
    ensure!(rows > 0 && rows.is_multiple_of(parts), wanted());
    let labels: Arc<[usize]> = NpyFile::open(label_path)?.numbers()?.into();
    let label_at = label_path.display();
    ensure!(labels.len() == shape[0], "{label_at}: {} labels for the {} images of {at}", labels.len(), shape[0]);
    if let Some((index, label)) = labels.iter().enumerate().find(|(_, label)| **label >= classes.len()) {
        bail!("{label_at}: element {index} is label {label}; 0 to {} is accepted", classes.len().saturating_sub(1))
    }
    let count = shape[0] / parts;
    let one = |part: usize| Arrays {
        images: images.clone(),
        labels: labels.clone(),
        first: part * count,
        count,
        dims,
        classes: classes.to_vec(),
        described: at.to_string(),
    };
    Ok((0..parts).map(one).collect())
}

impl Images for Arrays {
    fn len(&self) -> usize {
        self.count
    }

    fn dims(&self) -> Option<Dims> {
        Some(self.dims)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<usize> {
        ensure!(index < self.count, "image {index} of {}", self.count);
        Ok(self.labels[self.first + index])
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        let label = self.label(index)?;
        self.images.read_row(self.first + index, out.reset(self.dims))?;
        Ok(label)
    }

    fn describe(&self) -> String {
        self.described.clone()
    }
}

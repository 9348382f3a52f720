//! Test images from `.npy` files: corrupted ones laid out as CIFAR-10-C, and further sets laid out as CIFAR-10.1.
//!
//! Of a corruption, `<name>.npy` holds the test images at severity 1, then at 2, …, 5, and `labels.npy` their labels;
//! `sncn-classify corrupt` writes the same layout. A further set is a pair of files, images and labels.

use super::images::Images;
use super::npy::NpyFile;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Severities in a file.
const SEVERITIES: usize = 5;

/// Some of the images of a file, one after another.
pub struct Arrays {
    images: Arc<NpyFile>,
    labels: Arc<[usize]>,
    first: usize,
    count: usize,
    classes: Vec<String>,
    described: String,
}

/// The five severities of a corruption in `folder`, of images and classes as those of `like`.
///
/// # Errors
/// Where a file is missing, damaged or of another shape, or a label is none of the classes.
pub fn corrupted(folder: &Path, name: &str, like: &dyn Images) -> Result<Vec<Arc<dyn Images>>> {
    let (images, labels) = (folder.join(format!("{name}.npy")), folder.join("labels.npy"));
    let parts = read(&images, &labels, SEVERITIES, like).with_context(|| format!("corruption {name}"))?;
    let named = (1..).zip(parts).map(|(severity, part)| {
        let described = format!("{} at severity {severity}", part.described);
        Arc::new(Arrays { described, ..part }) as Arc<dyn Images>
    });
    Ok(named.collect())
}

/// The files, images and labels, that a further test set may lie in.
pub fn places(folder: &Path, name: &str) -> [(PathBuf, PathBuf); 2] {
    let within = folder.join(name);
    let beside = |what: &str| folder.join(format!("{name}_{what}.npy"));
    [(within.join("data.npy"), within.join("labels.npy")), (beside("data"), beside("labels"))]
}

/// The further test set of that name in `folder`, of images and classes as those of `like`; none where it has no files.
///
/// # Errors
/// Where a file is missing, damaged or of another shape, or a label is none of the classes.
pub fn further(folder: &Path, name: &str, like: &dyn Images) -> Result<Option<Arc<dyn Images>>> {
    let Some((images, labels)) = places(folder, name).into_iter().find(|(images, labels)| images.exists() || labels.exists())
    else {
        return Ok(None);
    };
    let part = read(&images, &labels, 1, like).with_context(|| format!("test set {name}"))?.into_iter().next();
    Ok(part.map(|part| Arc::new(part) as Arc<dyn Images>))
}

/// The images of a file in `parts` parts of one size.
fn read(path: &Path, label_path: &Path, parts: usize, like: &dyn Images) -> Result<Vec<Arrays>> {
    let images = Arc::new(NpyFile::open(path)?);
    let (at, shape, classes) = (path.display(), images.shape(), like.classes());
    ensure!(images.kind() == "|u1", "{at}: elements of type {:?}; bytes (|u1) are wanted", images.kind());
    let (height, width) = (like.height(), like.width());
    let count = if parts == 1 { "images".to_string() } else { format!("{parts} × images") };
    ensure!(
        shape.len() == 4 && shape[1..] == [height, width, 3] && shape[0] > 0 && shape[0].is_multiple_of(parts),
        "{at}: shape {shape:?}; ({count}, {height}, {width}, 3) is wanted"
    );
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
        classes: classes.to_vec(),
        described: at.to_string(),
    };
    Ok((0..parts).map(one).collect())
}

impl Images for Arrays {
    fn len(&self) -> usize {
        self.count
    }

    fn height(&self) -> usize {
        self.images.shape()[1]
    }

    fn width(&self) -> usize {
        self.images.shape()[2]
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize> {
        ensure!(index < self.count, "image {index} of {}", self.count);
        self.images.read_row(self.first + index, out)?;
        Ok(self.labels[self.first + index])
    }

    fn describe(&self) -> String {
        self.described.clone()
    }
}

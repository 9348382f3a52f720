//! Corrupted test images from `.npy` files, laid out as CIFAR-10-C: `<name>.npy` holds the test images at severity 1, then
//! at 2, …, 5; `labels.npy` their labels. `sncn-classify corrupt` writes the same layout.

use super::Images;
use super::npy::NpyFile;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;

/// Severities in a file.
const SEVERITIES: usize = 5;

/// The images of one file at one severity.
pub struct Corrupted {
    images: Arc<NpyFile>,
    labels: Arc<[usize]>,
    first: usize,
    count: usize,
    classes: Vec<String>,
    described: String,
}

impl Corrupted {
    /// The five severities of a corruption in `folder`.
    ///
    /// # Errors
    /// Where a file is missing, damaged or of another shape, or a label is not one of `classes`.
    pub fn open(folder: &Path, name: &str, classes: &[String]) -> Result<Vec<Arc<dyn Images>>> {
        let path = folder.join(format!("{name}.npy"));
        let images = Arc::new(NpyFile::open(&path).with_context(|| format!("corruption {name}"))?);
        let shape = images.shape();
        ensure!(
            shape.len() == 4 && shape[3] == 3 && shape[0] > 0 && shape[0].is_multiple_of(SEVERITIES),
            "{}: shape {shape:?}; (5 × images, height, width, 3) is wanted",
            path.display()
        );
        let label_path = folder.join("labels.npy");
        let labels: Arc<[usize]> = NpyFile::open(&label_path)?.numbers()?.into();
        ensure!(
            labels.len() == shape[0],
            "{}: {} labels for the {} images of {}",
            label_path.display(),
            labels.len(),
            shape[0],
            path.display()
        );
        if let Some(label) = labels.iter().find(|&&label| label >= classes.len()) {
            anyhow::bail!("{}: label {label}; 0 to {} is accepted", label_path.display(), classes.len().saturating_sub(1))
        }
        let count = shape[0] / SEVERITIES;
        let one = |severity: usize| {
            Arc::new(Self {
                images: images.clone(),
                labels: labels.clone(),
                first: severity * count,
                count,
                classes: classes.to_vec(),
                described: format!("{} at severity {}", path.display(), severity + 1),
            }) as Arc<dyn Images>
        };
        Ok((0..SEVERITIES).map(one).collect())
    }
}

impl Images for Corrupted {
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

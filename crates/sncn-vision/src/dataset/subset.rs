//! `Subset`: some of another data set's images.

use super::images::Images;
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Result, ensure};
use std::ops::Range;
use std::sync::Arc;

/// A range of the images of a data set.
pub(crate) struct Subset {
    images: Arc<dyn Images>,
    range: Range<usize>,
}

impl Subset {
    /// The first `count` images, or all if there are fewer.
    pub(crate) fn first(images: Arc<dyn Images>, count: usize) -> Self {
        let range = 0..count.min(images.len());
        Self { images, range }
    }

    /// All images after the first `count`.
    pub(crate) fn after(images: Arc<dyn Images>, count: usize) -> Self {
        let range = count.min(images.len())..images.len();
        Self { images, range }
    }
}

impl Subset {
    /// The index in the whole.
    fn of(&self, index: usize) -> Result<usize> {
        ensure!(index < self.len(), "image {index} of {}", self.len());
        Ok(self.range.start + index)
    }
}

impl Images for Subset {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn dims(&self) -> Option<Dims> {
        self.images.dims()
    }

    fn classes(&self) -> &[String] {
        self.images.classes()
    }

    fn class_subset(&self) -> Option<&[usize]> {
        self.images.class_subset()
    }

    fn label(&self, index: usize) -> Result<usize> {
        self.images.label(self.of(index)?)
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        self.images.read(self.of(index)?, out)
    }

    fn describe(&self) -> String {
        let (place, whole) = (if self.range.start == 0 { "first" } else { "last" }, self.images.describe());
        format!("the {place} {} of {whole}", self.len())
    }
}

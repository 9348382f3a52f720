//! `Subset`: a range of another data set's images.

use super::images::Images;
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

impl Images for Subset {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn height(&self) -> usize {
        self.images.height()
    }

    fn width(&self) -> usize {
        self.images.width()
    }

    fn classes(&self) -> &[String] {
        self.images.classes()
    }

    fn class_subset(&self) -> Option<&[usize]> {
        self.images.class_subset()
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize> {
        ensure!(index < self.len(), "image {index} of {}", self.len());
        self.images.read(self.range.start + index, out)
    }

    fn describe(&self) -> String {
        let (place, whole) = (if self.range.start == 0 { "first" } else { "last" }, self.images.describe());
        format!("the {place} {} of {whole}", self.len())
    }
}

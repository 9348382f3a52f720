//! `Subset`: the first images of another set.

use super::Images;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// The first `count` images of a set.
pub struct Subset {
    images: Arc<dyn Images>,
    count: usize,
}

impl Subset {
    /// The first `count` images, or all where there are fewer.
    pub fn first(images: Arc<dyn Images>, count: usize) -> Self {
        let count = count.min(images.len());
        Self { images, count }
    }
}

impl Images for Subset {
    fn len(&self) -> usize {
        self.count
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

    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize> {
        ensure!(index < self.count, "image {index} of {}", self.count);
        self.images.read(index, out)
    }

    fn describe(&self) -> String {
        format!("the first {} of {}", self.count, self.images.describe())
    }
}

//! `Images`: labelled RGB images of one size.

use anyhow::Result;
use std::sync::Arc;

/// Labelled RGB images of one size, interleaved height × width × 3 bytes.
pub trait Images: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of every image.
    fn height(&self) -> usize;

    /// Columns of every image.
    fn width(&self) -> usize;

    /// Class names, in label order.
    fn classes(&self) -> &[String];

    /// Writes image `index` and returns its label.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize>;

    /// One line: what this is and where it comes from.
    fn describe(&self) -> String;
}

/// A training set with its named test sets.
pub struct Splits {
    /// What is trained on.
    pub train: Arc<dyn Images>,
    /// Test sets, the clean one first.
    pub test: Vec<(String, Arc<dyn Images>)>,
    /// Sub-folder of the data folder where corrupted copies of the clean test images lie, if there are any.
    pub corrupted: String,
}

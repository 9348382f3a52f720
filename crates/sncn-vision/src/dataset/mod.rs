//! Image data sets, by name: labelled RGB images of one size, read on demand.
//!
//! A distribution shift is just another named test set. To add a data set: one file and one line in [`DATASETS`].

pub mod arrays;
pub mod cifar;
pub mod folder;
pub mod npy;
pub mod pairs;
pub mod shapes;
pub mod subset;

use anyhow::{Result, bail};
pub use sncn_train::Source;
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

/// Opens a data set.
pub type Open = fn(&Source) -> Result<Splits>;

/// Every data set.
pub const DATASETS: &[(&str, Open)] =
    &[("shapes", shapes::open), ("cifar10", cifar::open_10), ("cifar100", cifar::open_100), ("folder", folder::open)];

/// Opens the data set of that name.
///
/// # Errors
/// Where the name is unknown (the known ones are listed), or its files are missing or damaged.
pub fn open(name: &str, source: &Source) -> Result<Splits> {
    match DATASETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(source),
        None => {
            let known: Vec<_> = DATASETS.iter().map(|(known, _)| *known).collect();
            bail!("unknown data set {name:?}; known: {}", known.join(", "))
        }
    }
}

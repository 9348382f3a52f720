//! `Images`: labelled RGB images of one size.
//!
//! Your own data set implements the trait:
//!
//! ```
//! use sncn_vision::dataset::Images;
//!
//! /// Two grey images, dark and light.
//! struct Grey([String; 2]);
//!
//! impl Images for Grey {
//!     fn len(&self) -> usize {
//!         2
//!     }
//!
//!     fn height(&self) -> usize {
//!         32
//!     }
//!
//!     fn width(&self) -> usize {
//!         32
//!     }
//!
//!     fn classes(&self) -> &[String] {
//!         &self.0
//!     }
//!
//!     fn read(&self, index: usize, out: &mut [u8]) -> anyhow::Result<usize> {
//!         out.fill([60, 190][index]);
//!         Ok(index)
//!     }
//!
//!     fn describe(&self) -> String {
//!         "grey (2 images)".to_string()
//!     }
//! }
//!
//! let (grey, mut pixels) = (Grey(["dark".to_string(), "light".to_string()]), vec![0; 32 * 32 * 3]);
//! let label = grey.read(1, &mut pixels).expect("image 1 exists");
//! assert_eq!((label, pixels[0]), (1, 190));
//! ```

use anyhow::Result;
use std::sync::Arc;

/// Labelled RGB images of one size, height × width × 3 bytes each.
pub trait Images: Send + Sync {
    /// The number of images.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows of every image in pixels.
    fn height(&self) -> usize;

    /// Columns of every image in pixels.
    fn width(&self) -> usize;

    /// Class names, in label order.
    fn classes(&self) -> &[String];

    /// The classes that occur, by their indices in [`classes`](Self::classes), where the set has only some of those that networks know (as
    /// ImageNet-R has 200 of 1000); nothing where it has all. Networks then choose among these alone.
    fn class_subset(&self) -> Option<&[usize]> {
        None
    }

    /// Writes image `index` into `out` (height × width × 3 bytes) and returns its label.
    ///
    /// # Errors
    /// If there is no such image or it cannot be read, or `out` has another length.
    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize>;

    /// A line for users: name, size and origin of the data.
    fn describe(&self) -> String;
}

/// A training set with its named test sets.
pub struct Splits {
    /// The training set.
    pub train: Arc<dyn Images>,
    /// The test sets by name, the clean one first.
    pub test: Vec<(String, Arc<dyn Images>)>,
    /// Sub-folder of the data folder for corrupted copies of the clean test images; it need not exist.
    pub corrupted: String,
}

//! `Images`: labelled RGB images.
//!
//! Your own data set implements the trait:
//!
//! ```
//! use sncn_vision::corruption::Dims;
//! use sncn_vision::dataset::Images;
//! use sncn_vision::picture::Photo;
//!
//! /// Two grey images, dark and light.
//! struct Grey([String; 2]);
//!
//! impl Images for Grey {
//!     fn len(&self) -> usize {
//!         2
//!     }
//!
//!     fn dims(&self) -> Option<Dims> {
//!         Some(Dims::square(32))
//!     }
//!
//!     fn classes(&self) -> &[String] {
//!         &self.0
//!     }
//!
//!     fn label(&self, index: usize) -> anyhow::Result<usize> {
//!         Ok(index)
//!     }
//!
//!     fn read(&self, index: usize, out: &mut Photo) -> anyhow::Result<usize> {
//!         out.reset(Dims::square(32)).fill([60, 190][index]);
//!         self.label(index)
//!     }
//!
//!     fn describe(&self) -> String {
//!         "grey (2 images)".to_string()
//!     }
//! }
//!
//! let (grey, mut photo) = (Grey(["dark".to_string(), "light".to_string()]), Photo::default());
//! let label = grey.read(1, &mut photo).expect("image 1 exists");
//! assert_eq!((label, photo.bytes()[0]), (1, 190));
//! ```

use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Result};
use std::sync::Arc;

/// Labelled RGB images, of one size or of any sizes.
pub trait Images: Send + Sync {
    /// The number of images.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of every image where all have the same; nothing for files of any size.
    fn dims(&self) -> Option<Dims>;

    /// Class names, in label order.
    fn classes(&self) -> &[String];

    /// The classes that occur, by their indices in [`classes`](Self::classes), where the set has only some of those that networks know (as
    /// ImageNet-R has 200 of 1000); nothing where it has all. Networks then choose among these alone.
    fn class_subset(&self) -> Option<&[usize]> {
        None
    }

    /// The label of image `index`, without reading the image.
    ///
    /// # Errors
    /// If there is no such image.
    fn label(&self, index: usize) -> Result<usize>;

    /// Reads image `index` into `out`, whose content is replaced, and returns its label.
    ///
    /// # Errors
    /// If there is no such image or it cannot be read.
    fn read(&self, index: usize, out: &mut Photo) -> Result<usize>;

    /// A line for users: name, size and origin of the data.
    fn describe(&self) -> String;
}

/// A training set with its named test sets.
pub struct Splits {
    /// The training set; nothing where there are images to test on alone.
    pub train: Option<Arc<dyn Images>>,
    /// What is kept out of training to choose on, where the data set itself says so.
    pub validation: Option<Arc<dyn Images>>,
    /// The test sets by name, the clean one first.
    pub test: Vec<(String, Arc<dyn Images>)>,
    /// Sub-folder of the data folder for corrupted copies of the clean test images; it need not exist.
    pub corrupted: String,
}

impl Splits {
    /// A training set with named test sets, the clean one first; `corrupted` is where corrupted copies of it may lie.
    pub fn new(train: Arc<dyn Images>, test: Vec<(String, Arc<dyn Images>)>, corrupted: &str) -> Self {
        Self { train: Some(train), validation: None, test, corrupted: corrupted.to_string() }
    }

    /// Class names, in label order.
    pub fn classes(&self) -> &[String] {
        self.any().map(|images| images.classes()).unwrap_or_default()
    }

    /// Any of the images: those to train on if there are some.
    pub fn any(&self) -> Option<&Arc<dyn Images>> {
        self.train.iter().chain(&self.validation).chain(self.test.iter().map(|(_, images)| images)).next()
    }

    /// The images to train on.
    ///
    /// # Errors
    /// If there are none.
    pub fn trained(&self, name: &str) -> Result<&Arc<dyn Images>> {
        self.train.as_ref().with_context(|| {
            let tests: Vec<&str> = self.test.iter().map(|(name, _)| name.as_str()).collect();
            format!(
                "{name}: no images to train on ({} to test on); a part called train is looked for, or parts are named by the key data",
                if tests.is_empty() { "none".to_string() } else { tests.join(", ") }
            )
        })
    }
}

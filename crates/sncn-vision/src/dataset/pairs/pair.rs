//! `Pair`: an image with its labels; `Pairs`: data sets of them.

use super::legend::Legend;
use anyhow::Result;
use std::ops::Range;
use std::sync::Arc;

/// An RGB image with a class for every pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Rows in pixels.
    pub height: usize,
    /// Columns in pixels.
    pub width: usize,
    /// The image, height × width × 3 bytes.
    pub image: Vec<u8>,
    /// The class of every pixel, height × width; 255 is void.
    pub labels: Vec<u8>,
}

/// A data set of images with labels; sizes may differ.
pub trait Pairs: Send + Sync {
    /// The number of pairs.
    fn len(&self) -> usize;

    /// Whether there are no pairs.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes and their colours.
    fn legend(&self) -> &Legend;

    /// Reads pair `index`.
    ///
    /// # Errors
    /// If there is no such pair or it cannot be read, image and labels have different sizes, or a label is not a class.
    fn read(&self, index: usize) -> Result<Pair>;

    /// Rows and columns of pair `index`.
    ///
    /// # Errors
    /// If there is no such pair, or its image cannot be read.
    fn size(&self, index: usize) -> Result<(usize, usize)> {
        self.read(index).map(|pair| (pair.height, pair.width))
    }

    /// The classes of the pixels of pair `index`, in any order, where they can be read without its image; `None` where not.
    ///
    /// # Errors
    /// If there is no such pair, or its labels cannot be read.
    fn label_file(&self, _index: usize) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// A name for pair `index`, usable as a file name.
    fn name(&self, index: usize) -> String;

    /// A line for users: name, size and origin of the data.
    fn describe(&self) -> String;
}

/// A training set with its named test sets.
pub struct PairSplits {
    /// The training set.
    pub train: Arc<dyn Pairs>,
    /// What the data set keeps for choosing settings and epochs, if it has such a part.
    pub validation: Option<Arc<dyn Pairs>>,
    /// The test sets by name, the one from the training domain first.
    pub test: Vec<(String, Arc<dyn Pairs>)>,
}

impl PairSplits {
    /// What a run leaves out of training, to choose on: what the data set keeps for that, or what `limit` leaves.
    pub(crate) fn left_out(&self, limit: Option<usize>) -> Option<Arc<dyn Pairs>> {
        self.validation.clone().or_else(|| PairSubset::after(&self.train, limit?))
    }
}

/// A range of the pairs of a data set.
pub(crate) struct PairSubset {
    pairs: Arc<dyn Pairs>,
    range: Range<usize>,
}

impl PairSubset {
    /// The first `limit` pairs; all if there are no more, or without a limit.
    pub(crate) fn first(pairs: &Arc<dyn Pairs>, limit: Option<usize>) -> Arc<dyn Pairs> {
        match limit {
            Some(limit) if limit < pairs.len() => Arc::new(Self { pairs: pairs.clone(), range: 0..limit }),
            _ => pairs.clone(),
        }
    }

    /// All but the first `count`; nothing where there are no more.
    pub(crate) fn after(pairs: &Arc<dyn Pairs>, count: usize) -> Option<Arc<dyn Pairs>> {
        let range = count..pairs.len();
        (!range.is_empty()).then(|| -> Arc<dyn Pairs> { Arc::new(Self { pairs: pairs.clone(), range }) })
    }
}

impl Pairs for PairSubset {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn legend(&self) -> &Legend {
        self.pairs.legend()
    }

    fn read(&self, index: usize) -> Result<Pair> {
        self.pairs.read(self.range.start + index)
    }

    fn size(&self, index: usize) -> Result<(usize, usize)> {
        self.pairs.size(self.range.start + index)
    }

    fn label_file(&self, index: usize) -> Result<Option<Vec<u8>>> {
        self.pairs.label_file(self.range.start + index)
    }

    fn name(&self, index: usize) -> String {
        self.pairs.name(self.range.start + index)
    }

    fn describe(&self) -> String {
        format!("{}, pairs {} to {}", self.pairs.describe(), self.range.start, self.range.end)
    }
}

//! `Pair`: an image with its labels, and sets of them.

use super::legend::Legend;
use anyhow::Result;
use std::ops::Range;
use std::sync::Arc;

/// An image with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// height × width × 3 bytes.
    pub image: Vec<u8>,
    /// A class for every pixel, 255 where it is void.
    pub labels: Vec<u8>,
}

/// Images with labels.
pub trait Pairs: Send + Sync {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes with their colours.
    fn legend(&self) -> &Legend;

    /// Pair `index`.
    ///
    /// # Errors
    /// Where it cannot be read, its sizes differ, or a label is no class.
    fn read(&self, index: usize) -> Result<Pair>;

    /// A name of pair `index` that could be a file's.
    fn name(&self, index: usize) -> String;

    /// One line: what this is and where it comes from.
    fn describe(&self) -> String;
}

/// A training set with its named test sets.
pub struct PairSplits {
    /// What is trained on.
    pub train: Arc<dyn Pairs>,
    /// Test sets, that of the training set's own kind first.
    pub test: Vec<(String, Arc<dyn Pairs>)>,
}

/// Some pairs of a set that lie one after another.
pub struct Part {
    pairs: Arc<dyn Pairs>,
    range: Range<usize>,
}

impl Part {
    /// The first `limit`, all where there are no more.
    pub fn first(pairs: &Arc<dyn Pairs>, limit: Option<usize>) -> Arc<dyn Pairs> {
        match limit {
            Some(limit) if limit < pairs.len() => Arc::new(Self { pairs: pairs.clone(), range: 0..limit }),
            _ => pairs.clone(),
        }
    }

    /// All but the first `count`; nothing where there are no more.
    pub fn after(pairs: &Arc<dyn Pairs>, count: usize) -> Option<Arc<dyn Pairs>> {
        let range = count..pairs.len();
        (!range.is_empty()).then(|| -> Arc<dyn Pairs> { Arc::new(Self { pairs: pairs.clone(), range }) })
    }
}

impl Pairs for Part {
    fn len(&self) -> usize {
        self.range.len()
    }

    fn legend(&self) -> &Legend {
        self.pairs.legend()
    }

    fn read(&self, index: usize) -> Result<Pair> {
        self.pairs.read(self.range.start + index)
    }

    fn name(&self, index: usize) -> String {
        self.pairs.name(self.range.start + index)
    }

    fn describe(&self) -> String {
        format!("{}, pairs {} to {}", self.pairs.describe(), self.range.start, self.range.end)
    }
}

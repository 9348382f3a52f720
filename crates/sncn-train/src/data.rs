//! `Dataset` and `Batch`: what training and evaluation read.

use crate::BoxError;
use candle_core::Tensor;
use rand::seq::SliceRandom;
use sncn_core::{Pass, Seed};
use std::sync::Arc;

/// The label of what belongs to no class: it is neither trained on nor counted.
pub const VOID: u32 = 255;

/// Inputs with their labels.
pub struct Batch {
    /// What the network is given: (views·N, H, W, 3) images, the N instances as they are first; or the token ids of N
    /// sequences, one after another.
    pub inputs: Tensor,
    /// The tokens of each sequence, where `inputs` are sequences: they go to the network with the pass.
    pub lengths: Option<Arc<[usize]>>,
    /// A class for each of the N instances; in segmentation for each pixel of them, row by row, or [`VOID`].
    pub labels: Vec<u32>,
    /// How many views of each instance there are: 3 for AugMix, else 1.
    pub views: usize,
}

impl Batch {
    /// The same pass over this batch: with the lengths of its sequences, where it has sequences.
    pub fn pass(&self, pass: Pass) -> Pass {
        match &self.lengths {
            Some(lengths) => pass.with_lengths(lengths.clone()),
            None => pass,
        }
    }
}

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Something went wrong with a file or data set.
    #[error("{what}")]
    Of {
        /// The file or data set.
        what: String,
        /// What is wrong with it.
        source: BoxError,
    },
    /// An error that names the file or data set itself.
    #[error(transparent)]
    Other(BoxError),
    /// The tensor could not be made.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl DataError {
    /// An error of `what`, a file or data set.
    pub fn of(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Of { what: what.into(), source: source.into() }
    }

    /// An error that names the file or data set itself: for data sets that read with errors of their own kind, as in
    /// `read(index).map_err(DataError::other)?`.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into())
    }
}

/// Examples by index.
pub trait Dataset {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The examples of these indices, in this order. `augment` is the stream of the epoch; example i draws from its
    /// i-th sub-stream. `None` asks for the examples as they are.
    ///
    /// # Errors
    /// Where an example cannot be read.
    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError>;

    /// The batches of one training epoch: [`epoch_batches`], unless the data set has reasons of its own.
    fn batches(&self, batch_size: usize, epoch: usize, seed: Seed) -> Vec<Vec<usize>> {
        epoch_batches(self.len(), batch_size, epoch, seed)
    }
}

/// The batches of one epoch: a permutation from the stream `order/<epoch>`, cut into batches; a rest is left out unless
/// it is all there is.
pub fn epoch_batches(examples: usize, batch_size: usize, epoch: usize, seed: Seed) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..examples).collect();
    order.shuffle(&mut seed.named("order").fold_in(epoch as u64).rng());
    if examples < batch_size {
        return vec![order];
    }
    order.chunks_exact(batch_size).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_meets_every_example_once() {
        let mut seen: Vec<usize> = epoch_batches(100, 10, 3, Seed::new(1)).concat();
        assert_ne!(seen, epoch_batches(100, 10, 4, Seed::new(1)).concat());
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert_eq!(epoch_batches(7, 10, 0, Seed::new(1)).len(), 1);
        assert_eq!(epoch_batches(25, 10, 0, Seed::new(1)).len(), 2);
    }
}

//! `Dataset` and `Batch`: the inputs of training and evaluation.

use crate::BoxError;
use candle_core::Tensor;
use rand::seq::SliceRandom;
use sncn_core::{Pass, Seed};
use std::sync::Arc;

/// The label of pixels without a class; they are neither trained on nor counted.
pub const VOID: u32 = 255;

/// Inputs with labels.
pub struct Batch {
    /// The input of the network: images (views·N, H, W, 3), the N unchanged images first, or the token ids (tokens) of N
    /// sequences, one after another.
    pub inputs: Tensor,
    /// The number of tokens in each sequence, if `inputs` are sequences; the network gets them with the pass.
    pub lengths: Option<Arc<[usize]>>,
    /// The class of each of the N instances; in segmentation the class of each of their pixels, row by row, or [`VOID`].
    pub labels: Vec<u32>,
    /// The number of views of each instance: 3 for AugMix, otherwise 1.
    pub views: usize,
    /// The classes of the U instances without a label, for [`Objective::Fixmatch`](crate::Objective::Fixmatch) alone: nothing is trained on
    /// them, they tell how right pseudo-labels are. With them, `inputs` are N labelled instances, then U weakly and the same U strongly
    /// augmented ones.
    pub unlabelled: Vec<u32>,
}

impl Batch {
    /// A batch of labelled inputs with one view each, which are no sequences.
    pub fn new(inputs: Tensor, labels: Vec<u32>) -> Self {
        Self { inputs, lengths: None, labels, views: 1, unlabelled: Vec::new() }
    }

    /// The pass with the lengths of this batch, if it has sequences.
    pub fn pass(&self, pass: Pass) -> Pass {
        match &self.lengths {
            Some(lengths) => pass.with_lengths(lengths.clone()),
            None => pass,
        }
    }
}

/// The smallest and largest value that an input can have, channel by channel.
#[derive(Clone, Debug, PartialEq)]
pub struct ValueRange {
    /// The smallest.
    pub low: Vec<f64>,
    /// The largest.
    pub high: Vec<f64>,
}

impl ValueRange {
    /// The number of channels.
    pub fn channels(&self) -> usize {
        self.low.len()
    }

    /// The lowest values and the widths, each (C), as values of this type.
    fn parts(&self, like: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let width: Vec<f64> = self.low.iter().zip(&self.high).map(|(low, high)| high - low).collect();
        let of = |values: &[f64]| Tensor::new(values, like.device())?.to_dtype(like.dtype());
        Ok((of(&self.low)?, of(&width)?))
    }

    /// Inputs (…, C) as fractions of their range, 0 to 1.
    ///
    /// # Errors
    /// If the inputs have another number of channels.
    pub fn fractions(&self, inputs: &Tensor) -> candle_core::Result<Tensor> {
        let (low, width) = self.parts(inputs)?;
        inputs.broadcast_sub(&low)?.broadcast_div(&width)?.clamp(0., 1.)
    }

    /// Fractions (…, C) as inputs.
    ///
    /// # Errors
    /// If there is another number of channels.
    pub fn values(&self, fractions: &Tensor) -> candle_core::Result<Tensor> {
        let (low, width) = self.parts(fractions)?;
        fractions.broadcast_mul(&width)?.broadcast_add(&low)
    }
}

/// Why a batch could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// An error of a file or data set.
    #[error("{what}")]
    Of {
        /// The name of the file or data set.
        what: String,
        /// Its error.
        source: BoxError,
    },
    /// An error whose message names the file or data set.
    #[error(transparent)]
    Other(BoxError),
    /// A tensor could not be created.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl DataError {
    /// An error of the file or data set `what`.
    pub fn of(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Of { what: what.into(), source: source.into() }
    }

    /// An error whose message names the file or data set, for data sets with an error type of their own:
    /// `read(index).map_err(DataError::other)?`.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self::Other(source.into())
    }
}

/// Examples by index.
pub trait Dataset: Sync {
    /// The number of examples.
    fn len(&self) -> usize;

    /// Whether there are no examples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the examples with these indices, in this order. With `augment`, the stream of the epoch, examples are augmented,
    /// and example i draws from sub-stream i; without it they are unchanged.
    ///
    /// # Errors
    /// If an example cannot be read.
    fn batch(&self, indices: &[usize], augment: Option<Seed>) -> Result<Batch, DataError>;

    /// The classes that the set has, by their indices, where it has only some of the network's (as ImageNet-R has 200 of 1000); nothing
    /// where it has all. Evaluation then lets the network choose among these alone. Labels count all of the network's classes.
    fn class_subset(&self) -> Option<&[usize]> {
        None
    }

    /// The range of the values of inputs, where they have one, as images do; noise that is trained beside a network stays in it.
    fn value_range(&self) -> Option<ValueRange> {
        None
    }

    /// The class of every example, where examples have one each. By default all are read for that.
    ///
    /// # Errors
    /// If an example cannot be read.
    fn labels(&self) -> Result<Vec<u32>, DataError> {
        let all: Vec<usize> = (0..self.len()).collect();
        let read = all.chunks(256).map(|chunk| Ok(self.batch(chunk, None)?.labels));
        Ok(read.collect::<Result<Vec<_>, DataError>>()?.concat())
    }

    /// The indices of the batches of one training epoch; [`epoch_batches`] unless a data set overrides it.
    fn batches(&self, batch_size: usize, epoch: usize, seed: Seed) -> Vec<Vec<usize>> {
        epoch_batches(self.len(), batch_size, epoch, seed)
    }
}

/// The batches of one epoch: a permutation from the stream `order/<epoch>` of `seed`, split into batches. An incomplete last
/// batch is dropped unless it is the only one.
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

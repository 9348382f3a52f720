//! `Network`: what is trained and evaluated; immutable after building but for running statistics.

use crate::pass::Pass;
use candle_core::{Result, Tensor};

/// A model that maps a batch to class scores.
pub trait Network: Send + Sync {
    /// Scores of a batch: (N, H, W, 3) images or (N, L) token ids to (N, classes) logits, or (N, H, W, classes) where every
    /// pixel is labelled.
    ///
    /// # Errors
    /// Where the shape does not fit.
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor>;

    /// The same with the scores of an auxiliary head, where it has one.
    ///
    /// # Errors
    /// As [`Network::forward`].
    fn forward_auxiliary(&self, xs: &Tensor, pass: &Pass) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.forward(xs, pass)?, None))
    }

    /// How many sites it has at which layers can mix instances.
    fn sites(&self) -> usize;

    /// Prefixes of the variables that the loss does not reach by the network's construction: training leaves them alone.
    fn unused_parameters(&self) -> &[String] {
        &[]
    }
}

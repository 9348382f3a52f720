//! `Network`: a model that is trained and evaluated.

use crate::pass::Pass;
use candle_core::{Result, Tensor};

/// A model that maps a batch to class scores. After it is built only its variables change; the settings of a forward pass are in
/// [`Pass`].
pub trait Network: Send + Sync {
    /// Computes the logits of a batch: images (N, H, W, 3) or token ids (N, L) to (N, classes), or in segmentation to
    /// (N, H, W, classes).
    ///
    /// # Errors
    /// Returns an error where the batch has another rank or number of channels, or is too small for the network's strides.
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor>;

    /// Computes the logits and, where the network has an auxiliary head, the logits of that.
    ///
    /// # Errors
    /// As [`Network::forward`].
    fn forward_auxiliary(&self, xs: &Tensor, pass: &Pass) -> Result<(Tensor, Option<Tensor>)> {
        Ok((self.forward(xs, pass)?, None))
    }

    /// Returns the number of sites, where layers can mix instances.
    fn sites(&self) -> usize;

    /// Returns prefixes of the names of variables that get no gradient by the network's construction. Training does not change these;
    /// any other variable without a gradient is an error.
    fn unused_parameters(&self) -> &[String] {
        &[]
    }
}

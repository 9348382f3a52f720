//! Why training may fail.

use crate::data::DataError;
use crate::error::BoxError;

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Parameters that get no gradient.
    #[error("no gradient reaches {}: the loss does not depend on them; remove the layer or put it on the path to the loss", .0.join(", "))]
    NoGradient(Vec<String>),
    /// The loss is not finite.
    #[error(
        "the loss of step {step} is {loss}: training stopped, the last checkpoint is kept; lower the learning rate and resume or start again"
    )]
    NotFinite {
        /// Number of the step, from 1.
        step: usize,
        /// The value.
        loss: f64,
    },
    /// The loss of what is trained beside the network is not finite.
    #[error(
        "before epoch {epoch} the loss of the network on what is trained beside it is {loss}: training stopped, the last checkpoint is \
         kept; lower the learning rate and resume or start again"
    )]
    NotFiniteBeside {
        /// Number of the epoch, from 1.
        epoch: usize,
        /// The value.
        loss: f64,
    },
    /// There is nothing to train on.
    #[error("the training set is empty")]
    NoExamples,
    /// The batch size is 0, or the number of batches per step.
    #[error("batch_size is {batch_size}, accumulate is {accumulate}; at least 1 is accepted for both")]
    NoBatch {
        /// The batch size.
        batch_size: usize,
        /// The number of batches per step.
        accumulate: usize,
    },
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network, its gradient or the optimiser failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The caller's callback failed after a step, for example when writing a checkpoint.
    #[error(transparent)]
    Observer(BoxError),
}

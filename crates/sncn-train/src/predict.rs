//! Predictions: class probabilities of a batch, and the most probable class.

use candle_core::{DType, Result, Tensor};
use sncn_core::loss::softmax;
use sncn_core::{Network, Pass};

/// The class probabilities of a batch: the softmax of the scores (N, classes), row by row.
pub fn probabilities(network: &dyn Network, inputs: &Tensor, pass: &Pass) -> Result<Vec<Vec<f64>>> {
    let logits = network.forward(inputs, pass)?.detach();
    softmax(&logits.to_dtype(DType::F64)?)?.to_vec2::<f64>()
}

/// The index of the largest value; of equal values the first.
pub fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, &p)| if p > row[best] { i } else { best })
}

//! Evaluation: error, negative log-likelihood and calibration of a network on one test set.

use crate::calibration::Calibration;
use crate::confusion::Confusion;
use crate::data::Dataset;
use crate::loss::softmax;
use crate::{Network, Pass};
use candle_core::DType;

/// What a test set says of a network.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Counts of (label, prediction).
    pub confusion: Confusion,
    /// Confidence against correctness.
    pub calibration: Calibration,
    /// The label given to every example.
    pub predictions: Vec<u32>,
}

/// Class probabilities of a batch, row by row.
///
/// # Errors
/// As the network.
pub fn probabilities(network: &dyn Network, inputs: &candle_core::Tensor, pass: &Pass) -> candle_core::Result<Vec<Vec<f64>>> {
    let logits = network.forward(inputs, pass)?.detach();
    softmax(&logits.to_dtype(DType::F64)?)?.to_vec2::<f64>()
}

/// The index of the largest probability; the first of equals.
pub fn argmax(row: &[f64]) -> usize {
    row.iter().enumerate().fold(0, |best, (i, &p)| if p > row[best] { i } else { best })
}

/// Evaluates `data` in batches, in that evaluation pass; `observe` is told the number of examples after each and says whether to go on.
///
/// # Errors
/// Where a batch cannot be read, or `observe` fails.
pub fn evaluate(
    network: &dyn Network,
    data: &dyn Dataset,
    classes: usize,
    batch_size: usize,
    pass: &Pass,
    mut observe: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Evaluation> {
    let mut result =
        Evaluation { confusion: Confusion::new(classes), calibration: Calibration::default(), predictions: Vec::new() };
    let indices: Vec<usize> = (0..data.len()).collect();
    for indices in indices.chunks(batch_size.max(1)) {
        let batch = data.batch(indices, None)?;
        let rows = probabilities(network, &batch.inputs, pass)?;
        let predictions: Vec<u32> = rows.iter().map(|row| argmax(row) as u32).collect();
        result.confusion.add(&batch.labels, &predictions)?;
        for (row, &label) in rows.iter().zip(&batch.labels) {
            result.calibration.add(row, label as usize)?;
        }
        result.predictions.extend(predictions);
        observe(indices.len())?;
    }
    Ok(result)
}

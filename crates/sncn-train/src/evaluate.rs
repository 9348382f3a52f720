//! Evaluation: error, negative log-likelihood and calibration of a network on one test set.

use crate::calibration::{Calibration, LabelError};
use crate::confusion::{Confusion, ConfusionError};
use crate::data::{DataError, Dataset};
use crate::predict::{argmax, probabilities};
use sncn_core::{Network, Pass};

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

/// Why an evaluation ended early.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A label is none of the classes.
    #[error(transparent)]
    Confusion(#[from] ConfusionError),
    /// A label is none of the network's classes.
    #[error(transparent)]
    Label(#[from] LabelError),
}

/// Evaluates `data` in batches, in that evaluation pass; `observe` is told the number of examples after each.
///
/// # Errors
/// Where a batch cannot be read, or a label is no class.
pub fn evaluate(
    network: &dyn Network,
    data: &dyn Dataset,
    classes: usize,
    batch_size: usize,
    pass: &Pass,
    mut observe: impl FnMut(usize),
) -> Result<Evaluation, EvaluateError> {
    let mut result =
        Evaluation { confusion: Confusion::new(classes), calibration: Calibration::default(), predictions: Vec::new() };
    let indices: Vec<usize> = (0..data.len()).collect();
    for indices in indices.chunks(batch_size.max(1)) {
        let batch = data.batch(indices, None)?;
        let rows = probabilities(network, &batch.inputs, &batch.pass(pass.clone()))?;
        let predictions: Vec<u32> = rows.iter().map(|row| argmax(row) as u32).collect();
        result.confusion.add(&batch.labels, &predictions)?;
        for (row, &label) in rows.iter().zip(&batch.labels) {
            result.calibration.add(row, label as usize)?;
        }
        result.predictions.extend(predictions);
        observe(indices.len());
    }
    Ok(result)
}

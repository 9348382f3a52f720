//! Evaluation of a network on one test set: confusion matrix, calibration, predictions.

use crate::calibration::{Calibration, LabelError};
use crate::confusion::{Confusion, ConfusionError};
use crate::data::{DataError, Dataset};
use crate::predict::{argmax, probabilities};
use sncn_core::{Network, Pass};

/// The measurements of a network on a test set.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The confusion matrix.
    pub confusion: Confusion,
    /// The calibration of the predictions.
    pub calibration: Calibration,
    /// The predicted class of every example.
    pub predictions: Vec<u32>,
}

/// Why an evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A label is not a class.
    #[error(transparent)]
    Confusion(#[from] ConfusionError),
    /// A label is not one of the network's classes.
    #[error(transparent)]
    Label(#[from] LabelError),
}

/// Evaluates `network` on `data` in batches with the given evaluation pass; `observe` is called after each batch with its number
/// of examples.
///
/// # Errors
/// If a batch cannot be read, the network fails, or a label is not a class.
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

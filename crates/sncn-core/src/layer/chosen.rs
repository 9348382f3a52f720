//! The statistics of test batches by which a BatchNorm layer normalises, as a pass asks for ([`TestTime`]).

use crate::rule::{Instances, Matrix};
use crate::test_time::{NormForm, TestTime};
use candle_core::{Result, TensorId, bail};

/// Mean and biased variance (1, C) of a batch over `total` values a channel.
pub(super) struct BatchStatistics {
    pub(super) mean: Matrix,
    pub(super) variance: Matrix,
    pub(super) total: f64,
}

/// Mean and variance (1, C) by which the layer normalises that has this running mean.
///
/// # Errors
/// Returns an error where a batch has fewer than 2 values a channel, or nothing was gathered for this layer.
pub(super) fn at_test_time(
    test_time: &TestTime,
    layer: TensorId,
    map: &Instances<'_>,
    batch: impl FnOnce() -> Result<BatchStatistics>,
    running: impl FnOnce() -> Result<(Matrix, Matrix)>,
) -> Result<(Matrix, Matrix)> {
    let row = |values: Vec<f64>| map.constant(1, values.len(), values);
    if let Some(gathered) = test_time.fixed(layer) {
        let Some(gathered) = gathered else {
            bail!("BatchNorm: no statistics of the whole set were gathered for this layer: gather with the same network first")
        };
        return Ok((row(gathered.mean)?, row(gathered.variance)?));
    }
    let BatchStatistics { mean, variance, total } = batch()?;
    if total < 2. {
        bail!(
            "BatchNorm with the statistics of a test batch needs at least 2 values a channel, this batch has {total}: use a larger \
             batch, or adapt other layers"
        )
    }
    let unbiased = || variance.affine(total / (total - 1.), 0.);
    match test_time.form() {
        NormForm::Batch => Ok((mean, variance)),
        NormForm::BatchUnbiased => Ok((mean, unbiased())),
        NormForm::Prior { instances, batch } => {
            let prior = instances / (instances + batch as f64);
            let (source_mean, source_variance) = running()?;
            let blend = |own: &Matrix, source: &Matrix| own.affine(1. - prior, 0.).add(&source.affine(prior, 0.));
            Ok((blend(&mean, &source_mean)?, blend(&unbiased(), &source_variance)?))
        }
        NormForm::Cumulative => {
            let gathered = test_time.gather(layer, 1., &mean.values(), &unbiased().values(), false);
            Ok((row(gathered.mean)?, row(gathered.variance)?))
        }
        NormForm::WholeSet => {
            test_time.gather(layer, total, &mean.values(), &variance.values(), true);
            Ok((mean, variance))
        }
    }
}

//! Batch normalisation (Ioffe, Szegedy 2015): y = w·(x − mean)/√(var + eps) + b, over instances and positions.
//!
//! It is computed from the statistics of instances: the batch mean is the mean of the instances' means, the batch variance the
//! mean of their variances plus the variance of their means.

use super::base::Layer;
use super::chosen::{BatchStatistics, at_test_time};
use super::context::BuildContext;
use super::running::keep;
use crate::graph::FeatureMap;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule, Statistics};
use candle_core::{DType, Result, Tensor, Var, bail};
use candle_nn::Init;

/// Batch normalisation with running statistics, as PyTorch's `BatchNorm1d` and `BatchNorm2d`: training normalises with the
/// statistics of the batch and updates the running ones (unbiased variance), evaluation normalises with the
/// running ones, unless the pass says otherwise ([`Pass::with_test_time`]).
pub struct BatchNorm {
    /// Weight and bias.
    learnt: Option<(Tensor, Tensor)>,
    running_mean: Var,
    running_var: Var,
    batches: Var,
    eps: f64,
    momentum: f64,
    /// Whether it normalises the values of a SelfNorm gate, and no map.
    is_gate: bool,
}

impl BatchNorm {
    /// Builds the layer with eps 1e-5 and momentum 0.1. Its variables have PyTorch's names: `weight`, `bias`, `running_mean`,
    /// `running_var` and `num_batches_tracked`.
    ///
    /// # Errors
    /// Returns an error where one of these variables exists with another shape.
    pub fn new(cx: &BuildContext) -> Result<Self> {
        Self::with(cx, 1e-5, 0.1)
    }

    /// As [`BatchNorm::new`], with other settings: `eps` is added to the variance, and `momentum` is the share of a batch's statistics
    /// in the new running ones.
    ///
    /// # Errors
    /// As [`BatchNorm::new`].
    pub fn with(cx: &BuildContext, eps: f64, momentum: f64) -> Result<Self> {
        let one = |name, value| cx.vb.get_with_hints(cx.channels, name, Init::Const(value));
        let learnt = Some((one("weight", 1.)?, one("bias", 0.)?));
        Self::build(cx, learnt, eps, momentum)
    }

    /// As [`BatchNorm::new`] without weight and bias.
    pub(super) fn plain(cx: &BuildContext) -> Result<Self> {
        Self::build(cx, None, 1e-5, 0.1)
    }

    fn build(cx: &BuildContext, learnt: Option<(Tensor, Tensor)>, eps: f64, momentum: f64) -> Result<Self> {
        let (c, vb) = (cx.channels, &cx.vb);
        let one = |name, value| vb.get_with_hints(c, name, Init::Const(value));
        Ok(Self {
            learnt,
            running_mean: Var::from_tensor(&one("running_mean", 0.)?)?,
            running_var: Var::from_tensor(&one("running_var", 1.)?)?,
            batches: Var::from_tensor(&vb.get_with_hints_dtype((), "num_batches_tracked", Init::Const(0.), DType::I64)?)?,
            eps,
            momentum,
            is_gate: false,
        })
    }

    /// Applies BatchNorm, then ReLU.
    ///
    /// # Errors
    /// As [`Layer::on_map`], and in training where a channel has fewer than 2 values in the batch.
    pub fn norm_relu(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.on_map(xs, pass)?.relu()
    }

    /// The same layer as part of a SelfNorm gate, which test-time statistics tell apart from those on maps.
    pub(super) fn of_gate(self) -> Self {
        Self { is_gate: true, ..self }
    }

    /// The affine map for the channels of `statistics`, which are asked for only where those of the batch count.
    pub(super) fn affine(
        &self,
        map: &Instances<'_>,
        statistics: impl FnOnce() -> Result<Statistics>,
        pass: &Pass,
    ) -> Result<Affine> {
        let batch = || {
            let own = statistics()?;
            let mean = own.batch_mean(&own.mean)?;
            let variance = own.batch_mean(&own.mean.sub(&mean)?.sqr().add(&own.variance)?)?;
            Ok(BatchStatistics { mean, variance, total: own.total() })
        };
        let (mean, variance) = self.chosen(map, batch, pass)?;
        self.normalised(map, mean, &variance)
    }

    /// Normalises a matrix (N, C) over its rows, as PyTorch's `BatchNorm1d`.
    pub(super) fn rows(&self, map: &Instances<'_>, matrix: &Matrix, pass: &Pass) -> Result<Matrix> {
        let batch = || {
            let mean = matrix.mean_rows();
            let variance = matrix.sub(&mean)?.sqr().mean_rows();
            Ok(BatchStatistics { mean, variance, total: matrix.dims().0 as f64 })
        };
        let (mean, variance) = self.chosen(map, batch, pass)?;
        let Affine { centre, scale, bias, .. } = self.normalised(map, mean, &variance)?;
        matrix.sub(&centre)?.mul(&scale)?.add(&bias)
    }

    /// Mean and variance (1, C) by which this pass normalises; in training those of the batch, which are tracked.
    fn chosen(
        &self,
        map: &Instances<'_>,
        batch: impl FnOnce() -> Result<BatchStatistics>,
        pass: &Pass,
    ) -> Result<(Matrix, Matrix)> {
        if let Some(test_time) = pass.test_time() {
            let layer = self.running_mean.as_tensor().id();
            let learnt = self.learnt.as_ref().map(|(weight, bias)| [weight.id(), bias.id()]);
            test_time.meet(layer, self.is_gate, learnt);
            return match test_time.takes(self.is_gate) {
                true => at_test_time(test_time, layer, map, batch, || self.running(map)),
                false => self.running(map),
            };
        }
        if !pass.train {
            return self.running(map);
        }
        let BatchStatistics { mean, variance, total } = batch()?;
        self.track(&mean, &variance, total)?;
        Ok((mean, variance))
    }

    fn running(&self, map: &Instances<'_>) -> Result<(Matrix, Matrix)> {
        Ok((map.buffer(self.running_mean.as_tensor())?, map.buffer(self.running_var.as_tensor())?))
    }

    fn normalised(&self, map: &Instances<'_>, mean: Matrix, variance: &Matrix) -> Result<Affine> {
        let std = variance.affine(1., self.eps).sqrt();
        match &self.learnt {
            Some((weight, bias)) => Ok(Affine::new(mean, map.parameter(weight)?.div(&std)?, map.parameter(bias)?)),
            None => Ok(Affine::new(mean, std.recip(), map.constant(1, 1, vec![0.])?)),
        }
    }

    /// Updates the running statistics with a batch's mean and biased variance (1, C) over `total` values.
    fn track(&self, mean: &Matrix, variance: &Matrix, total: f64) -> Result<()> {
        if total < 2. {
            bail!("BatchNorm in training needs at least 2 values a channel, this batch has {total}: use a larger batch")
        }
        keep(&self.running_mean, mean, self.momentum, 1.)?;
        keep(&self.running_var, variance, self.momentum, total / (total - 1.))?;
        self.batches.set(&(self.batches.as_detached_tensor() + self.batches.ones_like()?)?)
    }
}

impl Rule for BatchNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        self.affine(map, || map.statistics(), pass).map(Some)
    }
}

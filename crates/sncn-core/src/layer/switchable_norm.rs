//! Switchable Normalization (Luo et al. 2019, arXiv 1806.10779; its authors write SN): normalises with learnt mixtures of the
//! statistics of instance, layer and batch.
//!
//! y = w·(x − Σᵢ pᵢ·μᵢ)/√(Σᵢ qᵢ·vᵢ + eps) + b, with p and q the softmax of three weights each, in the order instance, layer, batch. The
//! instance's variance is unbiased; the layer's are mean and variance over an instance's channels, the batch's over the instances, both
//! of instances' means and variances. Evaluation uses running statistics for the batch's part, which begin at 0.

use super::context::BuildContext;
use super::running::keep;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule};
use candle_core::{Result, Tensor, Var};
use candle_nn::Init;

/// Added to the mixed variance.
const EPS: f64 = 1e-5;
/// The share of a batch's statistics in the new running ones; the published code's momentum is the share that is kept, 0.9.
const MOMENTUM: f64 = 0.1;

/// Switchable normalisation.
pub struct SwitchableNorm {
    weight: Tensor,
    bias: Tensor,
    /// The weights of the means and of the variances.
    weights: [Tensor; 2],
    /// The running mean and variance.
    running: [Var; 2],
}

impl SwitchableNorm {
    /// Builds the layer. Its variables have the published names: `weight`, `bias` (1, C, 1, 1), `mean_weight`, `var_weight` (3),
    /// `running_mean` and `running_var` (1, C, 1).
    ///
    /// # Errors
    /// Returns an error where one of these variables exists with another shape.
    pub fn new(cx: &BuildContext) -> Result<Self> {
        let (c, vb) = (cx.channels, &cx.vb);
        let channel = |name, value| vb.get_with_hints((1, c, 1, 1), name, Init::Const(value));
        let three = |name| vb.get_with_hints(3, name, Init::Const(1.));
        let running = |name| Var::from_tensor(&vb.get_with_hints((1, c, 1), name, Init::Const(0.))?);
        Ok(Self {
            weight: channel("weight", 1.)?,
            bias: channel("bias", 0.)?,
            weights: [three("mean_weight")?, three("var_weight")?],
            running: [running("running_mean")?, running("running_var")?],
        })
    }
}

impl Rule for SwitchableNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let own = map.statistics()?;
        let (mean, variance) = (&own.mean, own.unbiased(0.)?);
        let spread = |centre: &Matrix| mean.sub(centre)?.sqr().add(&variance);
        let of_layer = mean.mean_columns();
        let layer_variance = spread(&of_layer)?.mean_columns();
        let (of_batch, batch_variance) = if pass.train {
            let of_batch = own.batch_mean(mean)?;
            let batch_variance = own.batch_mean(&spread(&of_batch)?)?;
            keep(&self.running[0], &of_batch, MOMENTUM, 1.)?;
            keep(&self.running[1], &batch_variance, MOMENTUM, 1.)?;
            (of_batch, batch_variance)
        } else {
            (map.buffer(self.running[0].as_tensor())?, map.buffer(self.running[1].as_tensor())?)
        };
        let mixed = |weights: &Tensor, parts: [&Matrix; 3]| {
            let shares = map.parameter(weights)?.softmax();
            let part = |i: usize| parts[i].mul(&shares.columns(i..i + 1)?);
            part(0)?.add(&part(1)?)?.add(&part(2)?)
        };
        let centre = mixed(&self.weights[0], [mean, &of_layer, &of_batch])?;
        let std = mixed(&self.weights[1], [&variance, &layer_variance, &batch_variance])?.affine(1., EPS).sqrt();
        Ok(Some(Affine::new(centre, map.parameter(&self.weight)?.div(&std)?, map.parameter(&self.bias)?)))
    }
}

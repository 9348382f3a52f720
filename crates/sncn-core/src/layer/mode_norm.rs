//! Mode Normalization (Deecke, Murray, Bilen 2019, arXiv 1810.05466): soft gates g = softmax(W·μ + b) assign every instance to K
//! modes, each with batch statistics of its own.
//!
//! y = α·Σₖ gₖ·(x − mₖ)/√(vₖ + eps) + β, where in training mₖ and vₖ are the mean and biased variance of the batch with the instances
//! weighted by their gates (and by their positions, where they differ in number). Gradients flow through gates and statistics. Running
//! first and second moments r₁ and r₂, both from 0, serve evaluation: mₖ = r₁, vₖ = r₂ − r₁². The published code gives NaN where such
//! a variance is negative; here it is 0.

use super::context::BuildContext;
use super::running::keep;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule, Statistics};
use candle_core::{Result, Tensor, Var, bail};
use candle_nn::Init;
use serde::{Deserialize, Serialize};

/// Added to variances.
const EPS: f64 = 1e-5;
/// The share of a batch's moments in the new running ones.
const MOMENTUM: f64 = 0.1;

/// Settings of [`ModeNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModeNormConfig {
    /// K, the number of modes.
    pub modes: usize,
}

impl Default for ModeNormConfig {
    fn default() -> Self {
        Self { modes: 2 }
    }
}

/// Mode normalisation. A training pass over a batch of one is an error, since its modes would all be that instance.
pub struct ModeNorm {
    alpha: Tensor,
    beta: Tensor,
    /// W (K, C) and b (K).
    gates: (Tensor, Tensor),
    /// Running moments (K, C).
    moments: [Var; 2],
}

impl ModeNorm {
    /// Builds the layer. Its variables have the published names, `alpha`, `beta` and `W`; so have its buffers, `x_ra` and `x2_ra`,
    /// which the published code leaves out of its state dict.
    ///
    /// # Errors
    /// Returns an error where `modes` is 0, or a variable exists with another shape.
    pub fn new(config: ModeNormConfig, cx: &BuildContext) -> Result<Self> {
        let (k, c, vb) = (config.modes, cx.channels, &cx.vb);
        if k == 0 {
            bail!("layer mode_norm: modes is 0; 1 or more is accepted, such as 2")
        }
        let channel = |name, value| vb.get_with_hints((1, c, 1, 1), name, Init::Const(value));
        let (w, bound) = (vb.pp("W"), 1. / (c as f64).sqrt());
        let moment = |name| Var::from_tensor(&vb.get_with_hints((k, 1, c, 1, 1), name, Init::Const(0.))?);
        Ok(Self {
            alpha: channel("alpha", 1.)?,
            beta: channel("beta", 0.)?,
            gates: (
                w.get_with_hints((k, c), "weight", Init::Randn { mean: 1. / k as f64, stdev: 0.01 })?,
                w.get_with_hints(k, "bias", Init::Uniform { lo: -bound, up: bound })?,
            ),
            moments: [moment("x_ra")?, moment("x2_ra")?],
        })
    }

    /// Mean and variance (K, C) of every mode in this batch, given the gates (N, K); updates the running moments.
    fn batch(&self, map: &Instances<'_>, own: &Statistics, gates: &Matrix) -> Result<(Matrix, Matrix)> {
        let n = own.counts().len();
        if n < 2 {
            bail!(
                "Mode Normalization in training needs at least 2 instances, this batch has {n}: use a batch size that leaves no batch of one"
            )
        }
        let counts = own.counts().iter().map(|&count| count as f64).collect();
        let weights = gates.mul(&map.constant(n, 1, counts)?)?.transpose();
        let weights = weights.div(&weights.mean_columns().affine(n as f64, 0.))?;
        let over = |matrix: &Matrix| weights.linear(&matrix.transpose());
        // around the mean of all, so that large means do not cancel
        let all = own.batch_mean(&own.mean)?;
        let away = own.mean.sub(&all)?;
        let shift = over(&away)?;
        let (mean, variance) = (shift.add(&all)?, over(&own.variance.add(&away.sqr())?)?.sub(&shift.sqr())?);
        keep(&self.moments[0], &mean, MOMENTUM, 1.)?;
        keep(&self.moments[1], &variance.add(&mean.sqr())?, MOMENTUM, 1.)?;
        Ok((mean, variance))
    }
}

impl Rule for ModeNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let own = map.statistics()?;
        let gates = own.mean.linear(&map.parameter(&self.gates.0)?)?.add(&map.parameter(&self.gates.1)?)?.softmax();
        let (mean, variance) = if pass.train {
            self.batch(map, &own, &gates)?
        } else {
            let [one, two] = [map.buffer(self.moments[0].as_tensor())?, map.buffer(self.moments[1].as_tensor())?];
            let variance = two.sub(&one.sqr())?.relu();
            (one, variance)
        };
        let inverse = variance.affine(1., EPS).sqrt().recip();
        // Σₖ gₖ·(x − mₖ)/sₖ = a·(x − Σₖ gₖ·mₖ/sₖ / a) with a = Σₖ gₖ/sₖ
        let scale = gates.linear(&inverse.transpose())?;
        let centre = gates.linear(&mean.mul(&inverse)?.transpose())?.div(&scale)?;
        Ok(Some(Affine::new(centre, scale.mul(&map.parameter(&self.alpha)?)?, map.parameter(&self.beta)?)))
    }
}

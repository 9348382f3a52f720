//! Attentive Normalization (Li, Sun, Wu 2020, arXiv 1908.01259), its form over BatchNorm: every instance mixes K pairs of scale and
//! bias by attention to its own statistics.
//!
//! y = (λΓ)·x̂ + λB, with x̂ from BatchNorm without weight and bias, Γ and B (K, C), and λ = h(BatchNorm(A·t)), where t = μ/√(v + 1e-3)
//! has the unbiased variance, A is (K, C), and h(z) = clip(z + 3, 0, 6)/6. This is attention mode 2 of the published networks, which
//! put the layer in place of the second norm of a bottleneck, with K 10, 10, 20, 20 in the four stages.
//!
//! Written from the formulas of the paper. The authors' code may be used for research only and says that a patent is pending, which may
//! apply to the method whoever writes it: see to it before other use.

use super::batch_norm::BatchNorm;
use super::context::BuildContext;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Rule};
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use candle_nn::init::{FanInOut, NonLinearity, NormalOrUniform};
use serde::{Deserialize, Serialize};

/// Added to the variances that attention reads.
const ATTENTION_EPS: f64 = 1e-3;

/// Settings of [`AttentiveNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttentiveNormConfig {
    /// K, the number of pairs of scale and bias.
    pub k: usize,
}

impl Default for AttentiveNormConfig {
    fn default() -> Self {
        Self { k: 10 }
    }
}

/// Attentive normalisation. In training the BatchNorm of the attention needs at least 2 instances.
pub struct AttentiveNorm {
    /// Γ (K, C).
    weight: Tensor,
    /// B (K, C).
    bias: Tensor,
    norm: BatchNorm,
    /// A (K, C, 1, 1), and the norm of its K results.
    attention: (Tensor, BatchNorm),
}

impl AttentiveNorm {
    /// Builds the layer. Its variables have the published names: `weight_`, `bias_`, `running_mean`, `running_var`,
    /// `num_batches_tracked`, and below `attention_weights.attention` the entries `0` (A) and `1` (its norm).
    ///
    /// # Errors
    /// Returns an error where `k` is 0, or a variable exists with another shape.
    pub fn new(config: AttentiveNormConfig, cx: &BuildContext) -> Result<Self> {
        let (k, c, vb) = (config.k, cx.channels, &cx.vb);
        if k == 0 {
            bail!("layer attentive_norm: k is 0; 1 or more is accepted, such as 10")
        }
        let pairs = |name, mean| vb.get_with_hints((k, c), name, Init::Randn { mean, stdev: 0.1 });
        let (weight, bias, norm) = (pairs("weight_", 1.)?, pairs("bias_", 0.)?, BatchNorm::plain(cx)?);
        let (fan, non_linearity) = (FanInOut::FanOut, NonLinearity::ReLU);
        let init = Init::Kaiming { dist: NormalOrUniform::Normal, fan, non_linearity };
        let vb = vb.pp("attention_weights.attention");
        let attention = vb.pp("0").get_with_hints((k, c, 1, 1), "weight", init)?;
        Ok(Self { weight, bias, norm, attention: (attention, BatchNorm::new(&cx.at(k, vb.pp("1")))?) })
    }
}

impl Rule for AttentiveNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let (own, (attention, norm)) = (map.statistics()?, &self.attention);
        let seen = own.mean.div(&own.std(ATTENTION_EPS)?)?.linear(&map.parameter(attention)?)?;
        let lambda = norm.rows(map, &seen, pass)?.affine(1., 3.).clamp(0., 6.)?.affine(1. / 6., 0.);
        let mixed = |pairs: &Tensor| lambda.linear(&map.parameter(pairs)?.transpose());
        let Affine { centre, scale, .. } = self.norm.affine(map, || Ok(own), pass)?;
        Ok(Some(Affine::new(centre, scale.mul(&mixed(&self.weight)?)?, mixed(&self.bias)?)))
    }
}

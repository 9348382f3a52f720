//! SelfNorm (Tang et al. 2021, arXiv 2102.02811, section 3.2): learnt gates re-weight the mean and standard deviation of every
//! channel, in training and in evaluation.
//!
//! A gate is sigmoid(BatchNorm(w₀·μ + w₁·σ)). With one gate y = g·x; with two, y = g·(x − μ) + f·μ, that is x normalised and
//! given mean f·μ and standard deviation g·σ. σ is unbiased, with eps 1e-12 under the root.

use super::batch_norm::BatchNorm;
use super::context::BuildContext;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule};
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use serde::{Deserialize, Serialize};

/// Settings of [`SelfNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelfNormConfig {
    /// 1 (as in every published network) or 2 (as in the paper's text).
    pub gates: usize,
}

impl Default for SelfNormConfig {
    fn default() -> Self {
        Self { gates: 1 }
    }
}

/// One gate: a linear function of (μ, σ) for each channel, BatchNorm over the batch, sigmoid.
struct Gate {
    /// (C, 1, 2): w₀ of the mean, w₁ of the standard deviation.
    weight: Tensor,
    norm: BatchNorm,
}

impl Gate {
    fn new(name: &str, cx: &BuildContext) -> Result<Self> {
        let (c, vb) = (cx.channels, &cx.vb);
        let bound = 0.5f64.sqrt();
        let weight = vb.pp(format!("{name}_fc")).get_with_hints((c, 1, 2), "weight", Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, norm: BatchNorm::new(&cx.at(c, vb.pp(format!("{name}_bn"))))?.of_gate() })
    }

    /// The gate's values (N, C) for means and standard deviations (N, C).
    fn forward(&self, map: &Instances<'_>, mean: &Matrix, std: &Matrix, pass: &Pass) -> Result<Matrix> {
        let weight = map.parameter(&self.weight)?.transpose();
        let weighted = |matrix: &Matrix, row: usize| matrix.mul(&weight.select_rows(&[row])?);
        let z = weighted(mean, 0)?.add(&weighted(std, 1)?)?;
        Ok(self.norm.rows(map, &z, pass)?.sigmoid())
    }
}

/// Returns whether a state-dict name is that of a parameter of a SelfNorm gate: the two weights of a channel, or the scale and bias of
/// its BatchNorm.
pub fn is_gate_parameter(name: &str) -> bool {
    let [Some(parameter), Some(part)] = std::array::from_fn({
        let mut parts = name.rsplit('.');
        move |_| parts.next()
    }) else {
        return false;
    };
    ["weight", "bias"].contains(&parameter) && ["g_fc", "g_bn", "f_fc", "f_bn"].contains(&part)
}

/// The SelfNorm layer. The example of [`Layer`](crate::Layer) builds one and applies it to a tensor.
pub struct SelfNorm {
    scale: Gate,
    bias: Option<Gate>,
}

impl SelfNorm {
    /// eps under the root of the standard deviation.
    pub const EPS: f64 = 1e-12;

    /// Builds the layer. Its variables have the published names, under `g_fc` and `g_bn`, and `f_fc` and `f_bn` for the second
    /// gate.
    ///
    /// # Errors
    /// Returns an error where `gates` is neither 1 nor 2, or a variable exists with another shape.
    pub fn new(config: SelfNormConfig, cx: &BuildContext) -> Result<Self> {
        let bias = match config.gates {
            1 => false,
            2 => true,
            gates => bail!("layer selfnorm: gates is {gates}; 1 or 2 is accepted"),
        };
        let scale = Gate::new("g", cx)?;
        let bias = if bias { Some(Gate::new("f", cx)?) } else { None };
        Ok(Self { scale, bias })
    }
}

impl Rule for SelfNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let statistics = map.statistics()?;
        let (mean, std) = (&statistics.mean, &statistics.std(Self::EPS)?);
        let scale = self.scale.forward(map, mean, std, pass)?;
        let Some(gate) = &self.bias else { return Ok(Some(Affine::scaled(scale))) };
        let bias = gate.forward(map, mean, std, pass)?.mul(mean)?;
        Ok(Some(Affine::new(mean.clone(), scale, bias)))
    }
}

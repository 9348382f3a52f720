//! SelfNorm (Tang et al. 2021, arXiv 2102.02811, section 3.2): every channel's mean and deviation, re-weighted by learnt
//! gates, in training and at test time.
//!
//! z = w₀·μ + w₁·σ, gate = sigmoid(BatchNorm(z)); one gate: y = g·x; two gates: y = g·x + μ·(f − g), which is x normalised
//! and given mean f·μ and deviation g·σ. σ is unbiased, with eps 1e-12 under the root.

use super::{BatchNorm, Canonical, Layer, MemoryLayout, Place};
use crate::graph::FeatureMap;
use crate::ops::sigmoid;
use crate::pass::Pass;
use crate::stats::{Outside, Stats, apply};
use candle_core::{DType, Result, Tensor, bail};
use candle_nn::Init;
use serde::{Deserialize, Serialize};

/// Settings of [`SelfNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SelfNormConfig {
    /// 1 (every published network) or 2 (the paper's text).
    pub gates: usize,
}

impl Default for SelfNormConfig {
    fn default() -> Self {
        Self { gates: 1 }
    }
}

/// One gate: a fully connected map of (μ, σ) a channel, BatchNorm over the batch, sigmoid.
pub(crate) struct Gate {
    /// (C, 1, 2): w₀ of the mean, w₁ of the deviation.
    pub(crate) weight: Tensor,
    pub(crate) norm: BatchNorm,
}

impl Gate {
    fn new(name: &str, place: &Place) -> Result<Self> {
        let (c, vb) = (place.channels, &place.vb);
        let bound = 0.5f64.sqrt();
        let weight = vb.pp(format!("{name}_fc")).get_with_hints((c, 1, 2), "weight", Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, norm: BatchNorm::new(&place.at(c, vb.pp(format!("{name}_bn"))))? })
    }

    fn forward(&self, mean: &Tensor, deviation: &Tensor, pass: &Pass) -> Result<Tensor> {
        // BatchNorm over a small batch cancels, forward and backward: few values, so in double precision where there is one
        let exact = if mean.device().is_cpu() { DType::F64 } else { mean.dtype() };
        let weight = |i| self.weight.narrow(2, i, 1)?.reshape((1, ()))?.to_dtype(exact);
        let weighted = |table: &Tensor, i| table.to_dtype(exact)?.broadcast_mul(&weight(i)?);
        let z = weighted(mean, 0)?.add(&weighted(deviation, 1)?)?;
        sigmoid(&self.norm.rows(&z, pass)?)?.to_dtype(mean.dtype())
    }
}

/// The SelfNorm layer.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use sncn_core::layer::{Layer, Place, SelfNorm, SelfNormConfig};
/// use sncn_core::{Pass, Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let layer = SelfNorm::new(SelfNormConfig::default(), &Place::new(16, vars.builder()))?;
/// let xs = Tensor::ones((4, 8, 8, 16), DType::F32, &Device::Cpu)?; // (N, H, W, C)
/// let ys = layer.forward(&xs, &Pass::eval())?;
/// assert_eq!(ys.dims(), xs.dims());
/// # Ok(())
/// # }
/// ```
pub struct SelfNorm {
    scale: Gate,
    shift: Option<Gate>,
    layout: MemoryLayout,
}

impl SelfNorm {
    /// eps under the root of the deviation.
    pub const EPS: f64 = 1e-12;

    /// With the published names: `g_fc`, `g_bn`, and `f_fc`, `f_bn` for the second gate.
    ///
    /// # Errors
    /// Where `gates` is neither 1 nor 2, or a variable exists with another shape.
    pub fn new(config: SelfNormConfig, place: &Place) -> Result<Self> {
        let shift = match config.gates {
            1 => false,
            2 => true,
            gates => bail!("layer selfnorm: gates is {gates}; 1 or 2 is accepted"),
        };
        let scale = Gate::new("g", place)?;
        let shift = if shift { Some(Gate::new("f", place)?) } else { None };
        Ok(Self { scale, shift, layout: place.layout })
    }

    /// The gate of the deviation, and that of the mean where there are two.
    pub(crate) fn gates(&self) -> (&Gate, Option<&Gate>) {
        (&self.scale, self.shift.as_ref())
    }
}

impl Layer for SelfNorm {
    fn recordable(&self) -> bool {
        self.layout == MemoryLayout::ChannelsLast
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.selfnorm(self, pass)
    }

    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        if self.recordable()
            && let Some(ys) = FeatureMap::alone(xs, pass, |xs| self.on_map(&xs, pass))?
        {
            return Ok(ys);
        }
        let map = Canonical::of(xs, self.layout, pass)?;
        let stats = Stats::of(&map.xs, &map.extent)?;
        let deviation = stats.deviation(Self::EPS)?;
        let g = self.scale.forward(&stats.mean, &deviation, pass)?;
        let b = match &self.shift {
            Some(gate) => stats.mean.mul(&gate.forward(&stats.mean, &deviation, pass)?.sub(&g)?)?,
            None => g.zeros_like()?,
        };
        map.restore(&apply(&map.xs, &g, &b, &map.extent, Outside::Zero, false)?)
    }
}

//! Squeeze-and-excitation (Hu et al. 2018): y = x·sigmoid(W₂·relu(W₁·mean(x))).

use super::{Canonical, Layer, MemoryLayout, Place, Settings};
use crate::ops::{linear, relu, sigmoid};
use crate::pass::Pass;
use crate::stats::{Outside, Stats, apply};
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use serde::Deserialize;

/// The SE layer: O(C²) parameters where SelfNorm has O(C).
pub struct SqueezeExcitation {
    down: (Tensor, Tensor),
    up: (Tensor, Tensor),
    layout: MemoryLayout,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SqueezeSettings {
    reduction: usize,
}

impl Default for SqueezeSettings {
    fn default() -> Self {
        Self { reduction: 4 }
    }
}

impl SqueezeExcitation {
    /// `fc1` (C/reduction, C) and `fc2` (C, C/reduction), both with bias.
    ///
    /// # Errors
    /// Where the reduction leaves no channel.
    pub fn new(reduction: usize, place: &Place) -> Result<Self> {
        let c = place.channels;
        let Some(inner) = c.checked_div(reduction).filter(|&inner| inner > 0) else {
            bail!("layer se: reduction is {reduction}; 1 to {c} is accepted for {c} channels")
        };
        let fc = |name: &str, from: usize, to: usize| -> Result<(Tensor, Tensor)> {
            let bound = 1. / (from as f64).sqrt();
            let (vb, init) = (place.vb.pp(name), Init::Uniform { lo: -bound, up: bound });
            Ok((vb.get_with_hints((to, from), "weight", init)?, vb.get_with_hints(to, "bias", init)?))
        };
        Ok(Self { down: fc("fc1", c, inner)?, up: fc("fc2", inner, c)?, layout: place.layout })
    }

    pub(super) fn from_settings(settings: Settings, place: &Place) -> Result<Self> {
        Self::new(settings.parse::<SqueezeSettings>()?.reduction, place)
    }
}

impl Layer for SqueezeExcitation {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let map = Canonical::of(xs, self.layout, pass)?;
        let mean = Stats::of(&map.xs, &map.extent)?.mean;
        let inner = relu(&linear(&mean, &self.down.0, Some(&self.down.1))?)?;
        let gate = sigmoid(&linear(&inner, &self.up.0, Some(&self.up.1))?)?;
        map.restore(&apply(&map.xs, &gate, &gate.zeros_like()?, &map.extent, Outside::Zero, false)?)
    }
}

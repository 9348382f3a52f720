//! Squeeze-and-excitation (Hu et al. 2018): y = x·sigmoid(W₂·relu(W₁·mean(x))).

use super::context::BuildContext;
use super::settings::Settings;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Matrix, Rule};
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use serde::Deserialize;

/// The squeeze-and-excitation layer. It has O(C²) parameters where SelfNorm has O(C).
pub struct SqueezeExcitation {
    down: (Tensor, Tensor),
    up: (Tensor, Tensor),
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
    /// Builds the layer. Its variables are `fc1` (C/reduction, C) and `fc2` (C, C/reduction), both with a bias.
    ///
    /// # Errors
    /// Returns an error where `reduction` is 0 or larger than the number of channels.
    pub fn new(reduction: usize, cx: &BuildContext) -> Result<Self> {
        let c = cx.channels;
        let Some(inner) = c.checked_div(reduction).filter(|&inner| inner > 0) else {
            bail!("layer se: reduction is {reduction}; 1 to {c} is accepted for {c} channels")
        };
        let fc = |name: &str, from: usize, to: usize| -> Result<(Tensor, Tensor)> {
            let bound = 1. / (from as f64).sqrt();
            let (vb, init) = (cx.vb.pp(name), Init::Uniform { lo: -bound, up: bound });
            Ok((vb.get_with_hints((to, from), "weight", init)?, vb.get_with_hints(to, "bias", init)?))
        };
        Ok(Self { down: fc("fc1", c, inner)?, up: fc("fc2", inner, c)? })
    }

    pub(super) fn from_settings(settings: Settings, cx: &BuildContext) -> Result<Self> {
        Self::new(settings.parse::<SqueezeSettings>()?.reduction, cx)
    }
}

impl Rule for SqueezeExcitation {
    fn rule(&self, map: &Instances<'_>, _: &Pass) -> Result<Option<Affine>> {
        let linear =
            |xs: &Matrix, (weight, bias): &(Tensor, Tensor)| xs.linear(&map.parameter(weight)?)?.add(&map.parameter(bias)?);
        let inner = linear(&map.statistics()?.mean, &self.down)?.relu();
        Ok(Some(Affine::scaled(linear(&inner, &self.up)?.sigmoid())))
    }
}

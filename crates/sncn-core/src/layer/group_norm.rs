//! Group normalisation (Wu, He 2018) and instance normalisation (Ulyanov et al. 2016: one channel a group).
//!
//! y = w·(x − mean)/√(var + eps) + b over the positions and the channels of a group, with the biased variance.

use super::context::BuildContext;
use super::settings::Settings;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Rule, Statistics};
use candle_core::{Result, Tensor, bail};
use candle_nn::Init;
use serde::Deserialize;

/// Group normalisation with a learnt weight and bias for every channel.
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GroupSettings {
    groups: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self { groups: 8 }
    }
}

impl GroupNorm {
    /// Builds the layer with `groups` groups of consecutive channels and eps 1e-5; its variables are `weight` and `bias`.
    ///
    /// # Errors
    /// Returns an error where the number of channels is not a multiple of `groups`.
    pub fn new(groups: usize, cx: &BuildContext) -> Result<Self> {
        let c = cx.channels;
        if groups == 0 || !c.is_multiple_of(groups) {
            bail!("layer group_norm: groups is {groups}; a divisor of the {c} channels is accepted")
        }
        let weight = cx.vb.get_with_hints(c, "weight", Init::Const(1.))?;
        let bias = cx.vb.get_with_hints(c, "bias", Init::Const(0.))?;
        Ok(Self { weight, bias, groups, eps: 1e-5 })
    }

    /// Builds instance normalisation: one channel a group.
    ///
    /// # Errors
    /// Returns an error where `weight` or `bias` exists with another shape.
    pub fn instance(cx: &BuildContext) -> Result<Self> {
        Self::new(cx.channels, cx)
    }

    pub(super) fn from_settings(settings: Settings, cx: &BuildContext) -> Result<Self> {
        Self::new(settings.parse::<GroupSettings>()?.groups, cx)
    }

    /// The affine map for the channels of these statistics.
    pub(super) fn affine(&self, map: &Instances<'_>, statistics: &Statistics) -> Result<Affine> {
        let Statistics { mean, variance, .. } = statistics;
        let (mean, variance) = if self.groups == self.weight.elem_count() {
            (mean.clone(), variance.clone())
        } else {
            let centre = mean.mean_groups(self.groups)?;
            let variance = mean.sub(&centre)?.sqr().add(variance)?.mean_groups(self.groups)?;
            (centre, variance)
        };
        let scale = map.parameter(&self.weight)?.div(&variance.affine(1., self.eps).sqrt())?;
        Ok(Affine::new(mean, scale, map.parameter(&self.bias)?))
    }
}

impl Rule for GroupNorm {
    fn rule(&self, map: &Instances<'_>, _: &Pass) -> Result<Option<Affine>> {
        self.affine(map, &map.statistics()?).map(Some)
    }
}

//! GroupNorm (Wu, He 2018), InstanceNorm (Ulyanov et al. 2016: group norm with one channel a group), LayerNorm (Ba et al.
//! 2016) and IBN (Pan et al. 2018: instance norm on the first half of the channels, batch norm on the rest).
//!
//! All are one statistics pass, arithmetic on the (N, C) table, and one affine map; biased variance, eps under the root.

use super::{BatchNorm, Canonical, Layer, MemoryLayout, Place, Settings};
use crate::graph::{FeatureMap, Norms};
use crate::pass::Pass;
use crate::stats::{Extent, Outside, Stats, apply, apply_centred};
use candle_core::{D, Result, Tensor, bail};
use candle_nn::Init;
use serde::Deserialize;

/// Group normalisation with a scale and shift for every channel.
pub struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    groups: usize,
    eps: f64,
    layout: MemoryLayout,
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
    /// `groups` groups of neighbouring channels, eps 1e-5.
    ///
    /// # Errors
    /// Where the channels do not divide into that many groups.
    pub fn new(groups: usize, place: &Place) -> Result<Self> {
        let c = place.channels;
        if groups == 0 || !c.is_multiple_of(groups) {
            bail!("layer group_norm: groups is {groups}; a divisor of the {c} channels is accepted")
        }
        let weight = place.vb.get_with_hints(c, "weight", Init::Const(1.))?;
        let bias = place.vb.get_with_hints(c, "bias", Init::Const(0.))?;
        Ok(Self { weight, bias, groups, eps: 1e-5, layout: place.layout })
    }

    /// Instance normalisation: one channel a group.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn instance(place: &Place) -> Result<Self> {
        Self::new(place.channels, place)
    }

    pub(super) fn from_settings(settings: Settings, place: &Place) -> Result<Self> {
        Self::new(settings.parse::<GroupSettings>()?.groups, place)
    }

    /// The scale (C).
    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The shift (C).
    pub(crate) fn bias(&self) -> &Tensor {
        &self.bias
    }

    /// eps under the root.
    pub(crate) fn eps(&self) -> f64 {
        self.eps
    }

    /// The centre, scale and shift (N, C) for these statistics.
    fn table(&self, stats: &Stats) -> Result<(Tensor, Tensor, Tensor)> {
        let (n, c) = stats.mean.dims2()?;
        let (mean, variance) = if self.groups == c {
            (stats.mean.clone(), stats.variance.clone())
        } else {
            let grouped = |table: &Tensor| table.reshape((n, self.groups, c / self.groups));
            let means = grouped(&stats.mean)?;
            let mean = means.mean_keepdim(D::Minus1)?;
            let spread = means.broadcast_sub(&mean)?.sqr()?;
            let variance = (grouped(&stats.variance)? + spread)?.mean_keepdim(D::Minus1)?;
            let spread_out =
                |table: &Tensor| table.broadcast_as((n, self.groups, c / self.groups))?.contiguous()?.reshape((n, c));
            (spread_out(&mean)?, spread_out(&variance)?)
        };
        let a = (variance + self.eps)?.sqrt()?.recip()?.broadcast_mul(&self.weight.unsqueeze(0)?)?;
        Ok((mean, a, self.bias.unsqueeze(0)?.broadcast_as((n, c))?))
    }
}

impl Layer for GroupNorm {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let map = Canonical::of(xs, self.layout, pass)?;
        let (m, a, b) = self.table(&Stats::of(&map.xs, &map.extent)?)?;
        map.restore(&apply_centred(&map.xs, &m, &a, &b, &map.extent, Outside::Zero, false)?)
    }

    /// InstanceNorm has a recorded form.
    fn recordable(&self) -> bool {
        self.groups == self.weight.elem_count()
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        xs.norms(&Norms { instance: Some(self), batch: None }, pass.train, |xs| self.forward(xs, pass))
    }
}

/// Layer normalisation over the channels of every position.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
    layout: MemoryLayout,
}

impl LayerNorm {
    /// With PyTorch's names.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn new(place: &Place, eps: f64) -> Result<Self> {
        let weight = place.vb.get_with_hints(place.channels, "weight", Init::Const(1.))?;
        let bias = place.vb.get_with_hints(place.channels, "bias", Init::Const(0.))?;
        Ok(Self { weight, bias, eps, layout: place.layout })
    }

    /// Scale, shift and ε.
    pub(crate) fn parts(&self) -> (&Tensor, &Tensor, f64) {
        (&self.weight, &self.bias, self.eps)
    }
}

impl Layer for LayerNorm {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let map = Canonical::of(xs, self.layout, pass)?;
        let (n, p, c) = map.xs.dims3()?;
        // each position is an instance of one channel with c positions
        let rows = map.xs.reshape((n * p, c, 1))?;
        let stats = Stats::of(&rows, &Extent::All)?;
        let a = (stats.variance + self.eps)?.sqrt()?.recip()?;
        let normal =
            apply_centred(&rows, &stats.mean, &a, &a.zeros_like()?, &Extent::All, Outside::Keep, false)?.reshape((n, p, c))?;
        let (weight, bias) = (self.weight.unsqueeze(0)?, self.bias.unsqueeze(0)?);
        map.restore(&apply(&normal, &weight, &bias, &map.extent, Outside::Zero, false)?)
    }
}

/// IBN-a: InstanceNorm on the first half of the channels (`IN`), BatchNorm on the rest (`BN`).
pub struct Ibn {
    instance: GroupNorm,
    batch: BatchNorm,
    half: usize,
    layout: MemoryLayout,
}

impl Ibn {
    /// With the published names `IN` and `BN`; the first half is rounded down.
    ///
    /// # Errors
    /// Where there are fewer than 2 channels.
    pub fn new(place: &Place) -> Result<Self> {
        let half = place.channels / 2;
        if half == 0 {
            bail!("layer ibn: at least 2 channels are wanted, not {}", place.channels)
        }
        let instance = GroupNorm::instance(&place.at(half, place.vb.pp("IN")))?;
        let batch = BatchNorm::new(&place.at(place.channels - half, place.vb.pp("BN")))?;
        Ok(Self { instance, batch, half, layout: place.layout })
    }
}

impl Layer for Ibn {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let map = Canonical::of(xs, self.layout, pass)?;
        let (n, _, c) = map.xs.dims3()?;
        let stats = Stats::of(&map.xs, &map.extent)?;
        let rest = c - self.half;
        let (m1, a1, b1) = self.instance.table(&stats.narrow(0, self.half)?)?;
        let (m2, a2, b2) = self.batch.table_of(Some(&stats.narrow(self.half, rest)?), pass.train)?;
        let join = |one: Tensor, two: Tensor| Tensor::cat(&[one.contiguous()?, two.broadcast_as((n, rest))?.contiguous()?], 1);
        let (m, a, b) = (join(m1, m2)?, join(a1, a2)?, join(b1, b2)?);
        map.restore(&apply_centred(&map.xs, &m, &a, &b, &map.extent, Outside::Zero, false)?)
    }

    fn recordable(&self) -> bool {
        true
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let norms = Norms { instance: Some(&self.instance), batch: Some(&self.batch) };
        xs.norms(&norms, pass.train, |xs| self.forward(xs, pass))
    }
}

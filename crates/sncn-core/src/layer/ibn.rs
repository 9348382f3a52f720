//! IBN (Pan et al. 2018, IBN-a): instance normalisation of the first half of the channels, batch normalisation of the rest.

use super::batch_norm::BatchNorm;
use super::context::BuildContext;
use super::group_norm::GroupNorm;
use crate::pass::Pass;
use crate::rule::{Affine, Instances, Rule};
use candle_core::{Result, bail};

/// IBN-a: InstanceNorm on the first half of the channels (`IN`), BatchNorm on the rest (`BN`).
pub struct Ibn {
    instance: GroupNorm,
    batch: BatchNorm,
    half: usize,
}

impl Ibn {
    /// Builds the layer; the first half is rounded down. Variables have the published names, under `IN` and `BN`.
    ///
    /// # Errors
    /// Returns an error where there are fewer than 2 channels.
    pub fn new(cx: &BuildContext) -> Result<Self> {
        let half = cx.channels / 2;
        if half == 0 {
            bail!("layer ibn: at least 2 channels are wanted, not {}", cx.channels)
        }
        let instance = GroupNorm::instance(&cx.at(half, cx.vb.pp("IN")))?;
        let batch = BatchNorm::new(&cx.at(cx.channels - half, cx.vb.pp("BN")))?;
        Ok(Self { instance, batch, half })
    }
}

impl Rule for Ibn {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let statistics = map.statistics()?;
        let instance = self.instance.affine(map, &statistics.channels(0..self.half)?)?;
        let rest = || statistics.channels(self.half..map.shape().channels);
        instance.join(&self.batch.affine(map, rest, pass)?).map(Some)
    }
}

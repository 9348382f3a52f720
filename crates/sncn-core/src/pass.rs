//! `Pass`: the settings of one forward pass.
//!
//! Nothing in a model is switched on or off: a clean and two mixed forward passes are three `Pass` values.

use crate::Seed;
use crate::kept::KeptWeights;
use crate::test_time::TestTime;
use candle_core::{Result, bail};
use rand::RngExt;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
pub use sncn_kernels::fused::Precision;
use std::any::Any;
use std::sync::Arc;

/// A box of an image's map: rows `top..bottom`, columns `left..right`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundingBox {
    /// The first row.
    pub top: usize,
    /// The first column.
    pub left: usize,
    /// The row after the last.
    pub bottom: usize,
    /// The column after the last.
    pub right: usize,
}

/// Where an active site gets its draw from.
#[derive(Clone)]
enum Draw {
    /// It samples from this stream.
    Seeded(Seed),
    /// A given value of the layer's own type.
    Given(Arc<dyn Any + Send + Sync>),
}

/// The settings of one forward pass: training or evaluation, which sites mix and what they draw, dropout, the lengths of padded
/// sequences, and the precision of convolutions.
#[derive(Clone)]
pub struct Pass {
    /// Whether this is a training pass: BatchNorm uses batch statistics and updates the running ones, and a backward pass is
    /// recorded.
    pub train: bool,
    backward: bool,
    active: Vec<(usize, Draw)>,
    mixing: Option<Arc<[bool]>>,
    seed: Seed,
    lengths: Option<Arc<[usize]>>,
    dropout: bool,
    precision: Precision,
    kept: Option<Arc<KeptWeights>>,
    test_time: Option<TestTime>,
}

impl Pass {
    /// An evaluation pass: running statistics, no mixing, no dropout.
    pub fn eval() -> Self {
        let (active, seed, precision) = (Vec::new(), Seed::new(0), Precision::F32);
        let (mixing, lengths, kept, test_time) = (None, None, None, None);
        let (train, backward, dropout) = (false, false, false);
        Self { train, backward, active, mixing, seed, lengths, dropout, precision, kept, test_time }
    }

    /// A training pass without mixing; dropout draws from `seed`.
    pub fn train(seed: Seed) -> Self {
        Self { train: true, dropout: true, seed, ..Self::eval() }
    }

    /// A training pass in which `active` of the network's `sites` sites mix, chosen uniformly without replacement; each samples from
    /// its own stream of `seed`.
    pub fn mixing(sites: usize, active: usize, seed: Seed) -> Self {
        let mut rng = seed.named("sites").rng();
        let mut chosen = index::sample(&mut rng, sites, active.min(sites)).into_vec();
        chosen.sort_unstable();
        let active = chosen.into_iter().map(|site| (site, Draw::Seeded(seed.named("site").fold_in(site as u64)))).collect();
        Self { active, ..Self::train(seed) }
    }

    /// A training pass in which the given sites mix with the given draws, which have the type of the layer at the site
    /// ([`crate::layer::CrossNormDraw`] for CrossNorm).
    pub fn with_draws<T: Any + Send + Sync>(draws: impl IntoIterator<Item = (usize, T)>, seed: Seed) -> Self {
        Self::train(seed).with_given(draws)
    }

    /// The same pass with what the layers of these sites, and no others, are given.
    pub(crate) fn with_given<T: Any + Send + Sync>(self, draws: impl IntoIterator<Item = (usize, T)>) -> Self {
        let active = draws.into_iter().map(|(site, draw)| (site, Draw::Given(Arc::new(draw)))).collect();
        Self { active, ..self }
    }

    /// The same pass, in which only the instances n with `instances[n]` mix, among themselves: they draw their partners from these, and
    /// the others stay as they are.
    pub fn mixing_among(self, instances: impl Into<Arc<[bool]>>) -> Self {
        Self { mixing: Some(instances.into()), ..self }
    }

    /// Returns which instances mix; `None` where all do.
    pub fn mixing_instances(&self) -> Option<&[bool]> {
        self.mixing.as_deref()
    }

    /// The same pass, through which a backward pass can be run also where it is an evaluation pass: for gradients of the input, or of
    /// parameters while running statistics stay what they are.
    pub fn with_backward(self) -> Self {
        Self { backward: true, ..self }
    }

    /// Returns whether a backward pass can be run: in training, and after [`Pass::with_backward`].
    pub fn records(&self) -> bool {
        self.train || self.backward
    }

    /// A pass that adapts a network to the batch it reads: an evaluation pass with a backward pass, in which BatchNorm layers use the
    /// statistics of `test_time`, or else their running ones, which do not change.
    pub fn adapting(test_time: &TestTime) -> Self {
        Self::eval().with_backward().with_test_time(test_time)
    }

    /// The same pass, in which the BatchNorm layers of `test_time` use its statistics, and others their running ones. Batches are then
    /// not split.
    pub fn with_test_time(self, test_time: &TestTime) -> Self {
        Self { test_time: Some(test_time.clone()), ..self }
    }

    /// What BatchNorm layers use at test time in place of running statistics.
    pub(crate) fn test_time(&self) -> Option<&TestTime> {
        self.test_time.as_ref()
    }

    /// Returns whether what an instance becomes depends on the others of its batch, which must then stay together: in training, and
    /// where BatchNorm uses the statistics of test batches.
    pub fn joins_instances(&self) -> bool {
        self.train || self.test_time.as_ref().is_some_and(TestTime::reads_batch)
    }

    /// The same pass over padded sequences, of which only the first `lengths[n]` tokens of instance n are used.
    pub fn with_lengths(self, lengths: impl Into<Arc<[usize]>>) -> Self {
        Self { lengths: Some(lengths.into()), ..self }
    }

    /// The same pass with the inputs and weights of convolutions rounded to `precision`, for faster inference; sums are f32. A
    /// training pass ignores it.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same pass for many batches by the same weights: it and its copies lay the weights of convolutions and linear layers out
    /// once and keep that, once or twice the memory of the weights. The weights must not change meanwhile. A training pass ignores it.
    pub fn keeping_weights(self) -> Self {
        Self { kept: Some(Arc::default()), ..self }
    }

    /// Where weights are kept that were laid out before.
    pub(crate) fn kept(&self) -> Option<Arc<KeptWeights>> {
        self.kept.clone().filter(|_| !self.records())
    }

    /// Returns the precision to which inputs and weights of convolutions are rounded.
    pub fn precision(&self) -> Precision {
        if self.records() { Precision::F32 } else { self.precision }
    }

    /// The same pass without dropout.
    pub fn without_dropout(self) -> Self {
        Self { dropout: false, ..self }
    }

    /// Returns whether dropout is active: in training passes, unless [`Pass::without_dropout`] was called.
    pub fn dropout(&self) -> bool {
        self.train && self.dropout
    }

    /// Returns the draw of a site: the given one, or one that `sample` makes from the site's stream; `None` where the site is not
    /// active.
    ///
    /// # Errors
    /// Returns the error of `sample`, or an error with the name `layer` where the given draw has another type than `T`.
    pub fn draw<T: Any + Clone>(
        &self,
        site: usize,
        layer: &str,
        sample: impl FnOnce(&mut ChaCha8Rng) -> Result<T>,
    ) -> Result<Option<T>> {
        match self.active.iter().find(|(number, _)| *number == site) {
            None => Ok(None),
            Some((_, Draw::Seeded(seed))) => sample(&mut seed.rng()).map(Some),
            Some((_, Draw::Given(given))) => match given.downcast_ref::<T>() {
                Some(draw) => Ok(Some(draw.clone())),
                None => bail!(
                    "site {site}: {layer} needs a draw of type {}, and the given draw has another",
                    std::any::type_name::<T>()
                ),
            },
        }
    }

    /// As [`Pass::draw`] for a layer that acts at an active site with a probability alone, by a coin from the site's stream that comes
    /// before `sample`. A given draw always acts.
    ///
    /// # Errors
    /// As [`Pass::draw`].
    pub fn draw_sometimes<T: Any + Clone>(
        &self,
        site: usize,
        layer: &str,
        probability: f64,
        sample: impl FnOnce(&mut ChaCha8Rng) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut acts = true;
        let draw = self.draw(site, layer, |rng| {
            acts = probability >= 1. || rng.random::<f64>() < probability;
            sample(rng)
        })?;
        Ok(draw.filter(|_| acts))
    }

    /// Returns the numbers of the active sites.
    pub fn active(&self) -> impl Iterator<Item = usize> + '_ {
        self.active.iter().map(|(site, _)| *site)
    }

    /// Returns the seed of this pass.
    pub fn seed(&self) -> Seed {
        self.seed
    }

    /// Returns the lengths of padded sequences, where they were set.
    pub fn lengths(&self) -> Option<&Arc<[usize]>> {
        self.lengths.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_are_distinct_and_uniform() {
        let mut counts = [0usize; 9];
        for step in 0..2000 {
            let pass = Pass::mixing(9, 2, Seed::new(step));
            let sites: Vec<_> = pass.active().collect();
            assert_eq!(sites.len(), 2);
            assert!(sites[0] < sites[1]);
            sites.iter().for_each(|&site| counts[site] += 1);
        }
        assert!(counts.iter().all(|&count| (370..520).contains(&count)), "{counts:?}");
    }
}

//! Stochastic depth (Huang et al. 2016): in training the branch of a residual block is dropped for some instances, and scaled by
//! 1/(1 − rate) for the others. The shortcut stays.

use crate::pass::Pass;
use crate::rule::{Affine, Instances, Rule};
use candle_core::{Result, bail};
use rand::RngExt;

/// Stochastic depth of one residual block: y = x·b/(1 − rate), where b is 0 with probability `rate` and otherwise 1, drawn for every
/// instance. It acts in passes with dropout ([`Pass::dropout`]) and is the identity in others. EfficientNet calls it drop connect.
pub struct StochasticDepth {
    rate: f64,
    block: u64,
}

impl StochasticDepth {
    /// Stochastic depth of the block with this number. Instance n of a pass draws from the stream `stochastic_depth/<block>/<n>` of the
    /// pass's seed.
    ///
    /// # Errors
    /// Returns an error where the rate is not in 0..1.
    pub fn new(rate: f64, block: u64) -> Result<Self> {
        if !(0. ..1.).contains(&rate) {
            bail!("stochastic depth: the rate is {rate}; 0 or more and less than 1 is accepted")
        }
        Ok(Self { rate, block })
    }
}

impl Rule for StochasticDepth {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        if !pass.dropout() || self.rate == 0. {
            return Ok(None);
        }
        let (seed, n) = (pass.seed().named("stochastic_depth").fold_in(self.block), map.shape().instances);
        let kept = |n: u64| seed.fold_in(n).rng().random::<f64>() >= self.rate;
        let scale = (0..n as u64).map(|n| if kept(n) { 1. / (1. - self.rate) } else { 0. });
        Ok(Some(Affine::scaled(map.constant(n, 1, scale.collect())?)))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Layer;
    use crate::{FeatureMap, Seed};
    use candle_core::{DType, Device, Tensor};

    fn kept(xs: &Tensor) -> Result<Vec<Vec<f32>>> {
        xs.flatten_from(1)?.to_vec2::<f32>()
    }

    #[test]
    fn whole_instances_are_dropped_in_training_and_the_others_scaled() -> Result<()> {
        let xs = Tensor::ones((400, 2, 3, 5), DType::F32, &Device::Cpu)?;
        let layer = StochasticDepth::new(0.2, 3)?;
        for recordable in [true, false] {
            let on = |layer: &StochasticDepth, pass: &Pass| {
                let map = FeatureMap::from_tensor(&xs, recordable, pass)?;
                kept(&layer.on_map(&map, pass)?.to_tensor()?)
            };
            let rows = on(&layer, &Pass::train(Seed::new(1)))?;
            assert!(rows.iter().all(|row| row.iter().all(|&x| x == row[0]) && (row[0] == 0. || row[0] == 1.25)));
            let dropped = rows.iter().filter(|row| row[0] == 0.).count();
            // 80 of 400, 4 standard deviations of 8
            assert!((48..=112).contains(&dropped), "{dropped} of 400 are dropped");
            assert_ne!(on(&StochasticDepth::new(0.2, 4)?, &Pass::train(Seed::new(1)))?, rows);
            for pass in [Pass::eval(), Pass::train(Seed::new(1)).without_dropout()] {
                assert!(on(&layer, &pass)?.iter().flatten().all(|&x| x == 1.));
            }
        }
        assert!(StochasticDepth::new(1., 0).is_err() && StochasticDepth::new(f64::NAN, 0).is_err());
        Ok(())
    }
}

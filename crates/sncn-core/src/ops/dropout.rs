//! Dropout (Srivastava et al. 2014), inverted: values that are kept are scaled by 1/(1 − rate).

use crate::Seed;
use candle_core::{Result, Tensor, bail};
use rand::Rng;
use rayon::prelude::*;

/// Applies dropout to the values of instance `n`, from the instance's own stream: one random bit a value where the rate is ½, else 32.
pub(crate) fn drop_of(seed: Seed, n: usize, rate: f64, values: &mut [f32]) {
    let mut rng = seed.fold_in(n as u64).rng();
    if rate == 0.5 {
        for values in values.chunks_mut(32) {
            let bits = rng.next_u32();
            values.iter_mut().enumerate().for_each(|(i, value)| *value *= (bits >> i & 1) as f32 * 2.);
        }
        return;
    }
    let (below, kept) = ((rate * f64::from(u32::MAX)) as u32, (1. / (1. - rate)) as f32);
    values.iter_mut().for_each(|value| *value *= if rng.next_u32() < below { 0. } else { kept });
}

/// Checks that the rate is in 0..1.
pub(crate) fn check(rate: f64) -> Result<()> {
    match (0. ..1.).contains(&rate) {
        true => Ok(()),
        false => bail!("dropout: the rate is {rate}; 0 or more and less than 1 is accepted"),
    }
}

/// Sets every value to 0 with probability `rate`, and multiplies the others by 1/(1 − rate). Instance n (along the first axis) draws
/// from its own stream of `seed`.
///
/// # Errors
/// Returns an error where the rate is not in 0..1, or xs is a scalar.
pub fn dropout(xs: &Tensor, rate: f64, seed: Seed) -> Result<Tensor> {
    check(rate)?;
    let mut factors = vec![1f32; xs.elem_count()];
    let len = xs.elem_count() / xs.dim(0)?.max(1);
    factors.par_chunks_mut(len.max(1)).enumerate().for_each(|(n, factors)| drop_of(seed, n, rate, factors));
    xs * Tensor::from_vec(factors, xs.shape(), xs.device())?.to_dtype(xs.dtype())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn the_fraction_is_dropped_whatever_the_batch_and_the_mean_is_kept() -> Result<()> {
        let xs = Tensor::ones((3, 10, 1001), DType::F64, &Device::Cpu)?;
        for rate in [0.5, 0.1, 0.] {
            let ys = dropout(&xs, rate, Seed::new(5))?;
            let values = ys.flatten_all()?.to_vec1::<f64>()?;
            assert!(values.iter().all(|&v| v == 0. || (v - 1. / (1. - rate)).abs() < 1e-6));
            let dropped = values.iter().filter(|&&v| v == 0.).count() as f64 / values.len() as f64;
            assert!((dropped - rate).abs() < 0.015, "{dropped}");
            let first = dropout(&xs.narrow(0, 0, 1)?, rate, Seed::new(5))?;
            let apart = |one: &Tensor, two: &Tensor| (one - two)?.abs()?.sum_all()?.to_scalar::<f64>();
            assert_eq!(apart(&first, &ys.narrow(0, 0, 1)?)?, 0.);
            assert_eq!(apart(&first, &ys.narrow(0, 1, 1)?)? > 0., rate > 0.);
        }
        assert!(dropout(&xs, 1., Seed::new(5)).is_err());
        Ok(())
    }
}

//! Dropout of one half (Srivastava et al. 2014), inverted: what is kept is doubled.

use crate::Seed;
use candle_core::{Result, Tensor};
use rand::Rng;
use rayon::prelude::*;

/// Doubles or drops the values of instance `n`, by one bit each of the instance's own stream.
pub(crate) fn drop_half_of(seed: Seed, n: usize, values: &mut [f32]) {
    let mut rng = seed.fold_in(n as u64).rng();
    for values in values.chunks_mut(32) {
        let bits = rng.next_u32();
        values.iter_mut().enumerate().for_each(|(i, value)| *value *= (bits >> i & 1) as f32 * 2.);
    }
}

/// Every value doubled or dropped, each with probability ½; instance n (along the first axis) draws from its own stream.
///
/// # Errors
/// Where a tensor cannot be made.
pub fn drop_half(xs: &Tensor, seed: Seed) -> Result<Tensor> {
    let mut factors = vec![1f32; xs.elem_count()];
    let len = xs.elem_count() / xs.dim(0)?.max(1);
    factors.par_chunks_mut(len.max(1)).enumerate().for_each(|(n, factors)| drop_half_of(seed, n, factors));
    xs * Tensor::from_vec(factors, xs.shape(), xs.device())?.to_dtype(xs.dtype())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn half_is_doubled_and_half_dropped_whatever_the_batch() -> Result<()> {
        let xs = Tensor::ones((3, 10, 1001), DType::F64, &Device::Cpu)?;
        let ys = drop_half(&xs, Seed::new(5))?;
        let kept = ys.flatten_all()?.to_vec1::<f64>()?;
        assert!(kept.iter().all(|&v| v == 0. || v == 2.));
        let share = kept.iter().sum::<f64>() / kept.len() as f64;
        assert!((share - 1.).abs() < 0.03, "{share}");
        let first = drop_half(&xs.narrow(0, 0, 1)?, Seed::new(5))?;
        let apart = |one: &Tensor, two: &Tensor| (one - two)?.abs()?.sum_all()?.to_scalar::<f64>();
        assert_eq!(apart(&first, &ys.narrow(0, 0, 1)?)?, 0.);
        assert!(apart(&first, &ys.narrow(0, 1, 1)?)? > 0.);
        Ok(())
    }
}

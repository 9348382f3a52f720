//! `Matching`: the operation of layers that mix an instance's values with another's of the same rank.
//!
//! y = x + s·(q − sg(x)), with a share s for each instance and q the partner's value of the same rank in the channel; sg(x) gets no
//! gradient. [`sncn_kernels::ranks`] has the formula for instances that differ in length.

use crate::graph::{Dims, Operation};
use crate::ops::constants;
use crate::rule::host_values;
use candle_core::{Result, Tensor, bail};
use sncn_kernels::ranks::{Order, Ranked, ranked_backward, ranked_forward};
use sncn_kernels::simd::Form;

/// Mixing by rank, on instances one after another.
pub(super) struct Matching {
    /// The layer, for error messages and measurements.
    pub(super) name: &'static str,
    /// Instance n is matched with instance `partner[n]`.
    pub(super) partner: Vec<usize>,
    /// The share of the partner's value, for each instance.
    pub(super) share: Vec<f64>,
    /// The number of positions of each instance.
    pub(super) lengths: Vec<usize>,
}

impl Matching {
    /// Calls `f` with the arguments of the kernels.
    fn ranked<R>(&self, channels: usize, f: impl FnOnce(Ranked<'_>) -> R) -> R {
        let share: Vec<f32> = self.share.iter().map(|&share| share as f32).collect();
        f(Ranked { lengths: &self.lengths, channels, partner: &self.partner, share: &share })
    }

    fn starts(&self) -> Vec<usize> {
        let start = |at: &mut usize, &len: &usize| Some(std::mem::replace(at, *at + len));
        self.lengths.iter().scan(0, start).collect()
    }

    /// Where the partner's value of the same rank is, for every value of a map (positions of all, C): the index of its row.
    fn sources(&self, values: &[f64], channels: usize) -> Vec<u32> {
        let (starts, mut from) = (self.starts(), vec![0; values.len()]);
        let ranked = |n: usize, c: usize| {
            let mut rows: Vec<usize> = (starts[n]..starts[n] + self.lengths[n]).collect();
            // adding 0 makes −0 the same as 0
            rows.sort_by(|&a, &b| (values[a * channels + c] + 0.).total_cmp(&(values[b * channels + c] + 0.)));
            rows
        };
        for c in 0..channels {
            let rows: Vec<Vec<usize>> = (0..starts.len()).map(|n| ranked(n, c)).collect();
            for (own, &m) in rows.iter().zip(&self.partner) {
                for (rank, row) in own.iter().enumerate() {
                    from[row * channels + c] = rows[m][(2 * rank + 1) * rows[m].len() / (2 * own.len())] as u32;
                }
            }
        }
        from
    }
}

impl Operation for Matching {
    type Saved = Order;

    fn name(&self) -> &'static str {
        self.name
    }

    fn output(&self, dims: Dims) -> Result<Dims> {
        let (rows, total) = (dims.0 * dims.1 * dims.2, self.lengths.iter().sum::<usize>());
        match rows == total {
            true => Ok(dims),
            false => bail!("{}: instances of {total} positions together, on a map of {rows}", self.name),
        }
    }

    fn forward(&self, xs: &[f32], dims: Dims, ys: &mut [f32]) -> Result<Order> {
        Ok(self.ranked(dims.3, |ranked| ranked_forward(Form::current(), ranked, xs, ys)))
    }

    fn backward(&self, order: &Order, _: &[f32], dims: Dims, gy: &[f32], gx: &mut [f32], _: &mut [Vec<f32>]) {
        self.ranked(dims.3, |ranked| ranked_backward(ranked, order, gy, gx));
    }

    fn reference(&self, xs: &Tensor) -> Result<Tensor> {
        let (rows, c) = {
            let (n, h, w, c) = self.output(xs.dims4()?)?;
            (n * h * w, c)
        };
        let flat = xs.reshape((rows, c))?;
        let from = Tensor::from_vec(self.sources(&host_values(&flat)?, c), (rows, c), xs.device())?;
        let shares = self.share.iter().zip(&self.lengths).flat_map(|(&share, &len)| vec![share; len]).collect();
        let away = (flat.contiguous()?.gather(&from, 0)? - flat.detach())?;
        (&flat + away.broadcast_mul(&constants(shares, xs)?.unsqueeze(1)?)?)?.reshape(xs.shape())
    }
}

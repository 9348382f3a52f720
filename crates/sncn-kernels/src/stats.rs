//! Instance statistics: mean and biased variance of every (instance, channel) over its positions.
//!
//! x is (N, positions, C), channels last. Two passes (mean, then squared distances to it), partial sums of 32 positions
//! in the element type and then in double precision, so that a mean that is large against the spread does not cancel.
//! Instances are independent: the result does not depend on the number of threads.

use crate::positions::Positions;
use crate::real::Real;
use rayon::prelude::*;

/// Positions whose sum is formed in the element type before it is added to the double-precision total.
const BLOCK: usize = 32;

/// Extents of a channels-last map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Instances N.
    pub instances: usize,
    /// Positions (pixels, tokens) of an instance.
    pub positions: usize,
    /// Channels C.
    pub channels: usize,
}

impl MapShape {
    /// Elements of one instance.
    pub fn instance_len(&self) -> usize {
        self.positions * self.channels
    }
}

/// Adds `f(position's row)` over the runs of one instance into `total`, block by block.
fn reduce<T: Real>(
    xs: &[T],
    channels: usize,
    runs: impl Iterator<Item = std::ops::Range<usize>>,
    f: impl Fn(usize, T) -> T,
) -> Vec<f64> {
    let mut total = vec![0f64; channels];
    let mut block = vec![T::ZERO; channels];
    for run in runs {
        for chunk in xs[run.start * channels..run.end * channels].chunks(BLOCK * channels) {
            block.fill(T::ZERO);
            for row in chunk.chunks_exact(channels) {
                for (c, (sum, &x)) in block.iter_mut().zip(row).enumerate() {
                    *sum += f(c, x);
                }
            }
            for (sum, &part) in total.iter_mut().zip(&block) {
                *sum += part.double();
            }
        }
    }
    total
}

/// Writes mean and biased variance, each (N, C); an instance without positions gets zeros.
///
/// # Panics
/// Where slice lengths do not fit the shape.
pub fn instance_stats<T: Real>(xs: &[T], shape: MapShape, positions: Positions<'_>, mean: &mut [T], variance: &mut [T]) {
    assert_eq!(xs.len(), shape.instances * shape.instance_len(), "values");
    assert_eq!((mean.len(), variance.len()), (shape.instances * shape.channels, shape.instances * shape.channels), "tables");
    if xs.is_empty() {
        mean.fill(T::ZERO);
        variance.fill(T::ZERO);
        return;
    }
    let channels = shape.channels;
    xs.par_chunks_exact(shape.instance_len())
        .zip(mean.par_chunks_exact_mut(channels))
        .zip(variance.par_chunks_exact_mut(channels))
        .enumerate()
        .for_each(|(n, ((xs, mean), variance))| {
            let count = positions.count(n, shape.positions).max(1) as f64;
            let sums = reduce(xs, channels, positions.runs(n, shape.positions), |_, x| x);
            for (mean, sum) in mean.iter_mut().zip(&sums) {
                *mean = T::real(sum / count);
            }
            let centre: &[T] = mean;
            let squares = reduce(xs, channels, positions.runs(n, shape.positions), |c, x| (x - centre[c]) * (x - centre[c]));
            // the mean is rounded to the element type; what that shifts the squares by is known exactly
            for (c, variance) in variance.iter_mut().enumerate() {
                let shift = sums[c] / count - centre[c].double();
                *variance = T::real((squares[c] / count - shift * shift).max(0.0));
            }
        });
}

/// The gradient of Σ (g_mean·mean + g_variance·variance) with respect to x; zero at positions that take no part.
///
/// dx = g_mean/p + g_variance·2·(x − mean)/p, p the number of positions.
///
/// # Panics
/// Where slice lengths do not fit the shape.
pub fn instance_stats_backward<T: Real>(
    xs: &[T],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &[T],
    g_mean: &[T],
    g_variance: &[T],
    dx: &mut [T],
) {
    assert_eq!((xs.len(), dx.len()), (shape.instances * shape.instance_len(), shape.instances * shape.instance_len()), "values");
    if xs.is_empty() {
        return;
    }
    let channels = shape.channels;
    dx.par_chunks_exact_mut(shape.instance_len()).enumerate().for_each(|(n, dx)| {
        let xs = &xs[n * shape.instance_len()..(n + 1) * shape.instance_len()];
        let table = n * channels..(n + 1) * channels;
        let count = positions.count(n, shape.positions).max(1) as f64;
        let (over, twice) = (T::real(1.0 / count), T::real(2.0 / count));
        let slope: Vec<T> = g_variance[table.clone()].iter().map(|&g| g * twice).collect();
        let offset: Vec<T> = g_mean[table.clone()].iter().map(|&g| g * over).collect();
        let mean = &mean[table];
        if positions != Positions::All {
            dx.fill(T::ZERO);
        }
        for run in positions.runs(n, shape.positions) {
            let run = run.start * channels..run.end * channels;
            for (dx, xs) in dx[run.clone()].chunks_exact_mut(channels).zip(xs[run].chunks_exact(channels)) {
                for ((((dx, &x), &mean), &slope), &offset) in dx.iter_mut().zip(xs).zip(mean).zip(&slope).zip(&offset) {
                    *dx = offset + slope * (x - mean);
                }
            }
        }
    });
}

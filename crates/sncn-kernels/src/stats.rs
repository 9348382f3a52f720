//! Instance statistics: mean and biased variance of every (instance, channel) over its positions.
//!
//! x is (N, positions, C). Two passes (the mean, then squared distances to it) with partial sums over 32 positions in the element
//! type and then in double precision, so that a mean that is large relative to the standard deviation does not cancel. Over
//! vectors both passes go over a piece of the map that stays in the cache, and the moments of the pieces are merged, so that
//! memory is read once. Instances are independent: the result does not depend on the number of threads.

use crate::positions::Positions;
use crate::real::Real;
use crate::rows;
use crate::simd::Form;
use rayon::prelude::*;
use std::ops::Range;

/// Positions whose sum is formed in the element type before it is added to the double-precision total.
const BLOCK: usize = 32;
/// Elements of a piece: half a first-level cache.
const PIECE: usize = 1 << 12;

/// Shape of a channels-last map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Number of instances (N).
    pub instances: usize,
    /// Number of positions (pixels or tokens) of an instance.
    pub positions: usize,
    /// Number of channels (C).
    pub channels: usize,
}

impl MapShape {
    /// Returns the number of values of an instance.
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
                *sum += part.to_f64();
            }
        }
    }
    total
}

/// max(v, 0); NaN where v is NaN.
fn not_below_zero(v: f64) -> f64 {
    if v < 0.0 { 0.0 } else { v }
}

/// The moments of some channels, and the sums they are formed from.
#[derive(Default)]
struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
    centre: Vec<f32>,
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Moments {
    fn clear(&mut self, channels: usize) {
        self.count = 0.0;
        for sums in [&mut self.mean, &mut self.squares, &mut self.one, &mut self.two] {
            sums.clear();
            sums.resize(channels, 0.0);
        }
        self.centre.resize(channels, 0.0);
    }

    /// Merges a piece: `runs` of values, `count` positions.
    fn add(&mut self, form: Form, xs: &[f32], runs: &[Range<usize>], count: f64) {
        self.one.fill(0.0);
        runs.iter().for_each(|run| rows::sums(form, &xs[run.clone()], &mut self.one));
        self.centre.iter_mut().zip(&self.one).for_each(|(centre, sum)| *centre = (sum / count) as f32);
        self.one.fill(0.0);
        self.two.fill(0.0);
        for run in runs {
            rows::centred_sums(form, &xs[run.clone()], &self.centre, &mut self.one, &mut self.two);
        }
        // Chan, Golub, LeVeque 1983: moments of two sets make those of their union
        let total = self.count + count;
        let (fraction, between) = (count / total, self.count * count / total);
        let moments = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), ((&one, &two), &centre)) in moments.zip(self.one.iter().zip(&self.two).zip(&self.centre)) {
            let offset = one / count;
            let apart = f64::from(centre) + offset - *mean;
            *mean += apart * fraction;
            *squares += two - one * offset + apart * apart * between;
        }
        self.count = total;
    }
}

/// Computes mean and biased variance, each (N, C), over the positions; an instance without positions gets zeros.
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn instance_stats<T: Real>(
    form: Form,
    xs: &[T],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &mut [T],
    variance: &mut [T],
) {
    let matrix = shape.instances * shape.channels;
    assert_eq!(xs.len(), shape.instances * shape.instance_len(), "values of a map of {shape:?}");
    assert_eq!((mean.len(), variance.len()), (matrix, matrix), "means and variances of a map of {shape:?}");
    if xs.is_empty() {
        mean.fill(T::ZERO);
        variance.fill(T::ZERO);
        return;
    }
    match (form, T::as_f32(xs)) {
        (Form::Portable | Form::Avx2 | Form::Avx512, Some(xs)) => {
            if let (Some(mean), Some(variance)) = (T::as_f32_mut(mean), T::as_f32_mut(variance)) {
                vectors(form, xs, shape, positions, mean, variance);
            }
        }
        _ => loops(xs, shape, positions, mean, variance),
    }
}

/// The statistics of a map that is not empty, over vectors of channels.
fn vectors(form: Form, xs: &[f32], shape: MapShape, positions: Positions<'_>, mean: &mut [f32], variance: &mut [f32]) {
    let channels = shape.channels;
    let most = (PIECE / channels).next_multiple_of(BLOCK).max(BLOCK);
    let instances = xs.par_chunks_exact(shape.instance_len()).zip(mean.par_chunks_exact_mut(channels));
    let instances = instances.zip(variance.par_chunks_exact_mut(channels)).enumerate();
    instances.for_each_init(Default::default, |(moments, piece): &mut (Moments, Vec<_>), (n, ((xs, mean), variance))| {
        moments.clear(channels);
        piece.clear();
        let mut held = 0;
        for run in positions.runs(n, shape.positions) {
            let mut start = run.start;
            while start < run.end {
                let end = run.end.min(start + most - held);
                piece.push(start * channels..end * channels);
                held += end - start;
                start = end;
                if held == most {
                    moments.add(form, xs, piece, held as f64);
                    piece.clear();
                    held = 0;
                }
            }
        }
        if held > 0 {
            moments.add(form, xs, piece, held as f64);
        }
        let count = moments.count.max(1.0);
        for (c, (mean, variance)) in mean.iter_mut().zip(variance).enumerate() {
            (*mean, *variance) = (moments.mean[c] as f32, not_below_zero(moments.squares[c] / count) as f32);
        }
    });
}

/// The statistics of a map that is not empty, as plain loops.
fn loops<T: Real>(xs: &[T], shape: MapShape, positions: Positions<'_>, mean: &mut [T], variance: &mut [T]) {
    let channels = shape.channels;
    xs.par_chunks_exact(shape.instance_len())
        .zip(mean.par_chunks_exact_mut(channels))
        .zip(variance.par_chunks_exact_mut(channels))
        .enumerate()
        .for_each(|(n, ((xs, mean), variance))| {
            let count = positions.count(n, shape.positions).max(1) as f64;
            let sums = reduce(xs, channels, positions.runs(n, shape.positions), |_, x| x);
            for (mean, sum) in mean.iter_mut().zip(&sums) {
                *mean = T::from_f64(sum / count);
            }
            let centre: &[T] = mean;
            let squares = reduce(xs, channels, positions.runs(n, shape.positions), |c, x| (x - centre[c]) * (x - centre[c]));
            // the mean is rounded to the element type; what that adds to the squares is known exactly
            for (c, variance) in variance.iter_mut().enumerate() {
                let offset = sums[c] / count - centre[c].to_f64();
                *variance = T::from_f64(not_below_zero(squares[c] / count - offset * offset));
            }
        });
}

/// Computes the gradient of x from those of mean and variance, dx = g_mean/p + g_variance·2·(x − mean)/p over p positions; 0 at other
/// positions.
///
/// # Panics
/// As [`instance_stats`].
#[allow(clippy::too_many_arguments, reason = "a form, a map, its shape, and a gradient for each statistic")]
pub fn instance_stats_backward<T: Real>(
    form: Form,
    xs: &[T],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &[T],
    g_mean: &[T],
    g_variance: &[T],
    dx: &mut [T],
) {
    let values = shape.instances * shape.instance_len();
    assert_eq!((xs.len(), dx.len()), (values, values), "values of a map of {shape:?}");
    if xs.is_empty() {
        return;
    }
    let channels = shape.channels;
    dx.par_chunks_exact_mut(shape.instance_len()).enumerate().for_each(|(n, dx)| {
        let xs = &xs[n * shape.instance_len()..(n + 1) * shape.instance_len()];
        let row = n * channels..(n + 1) * channels;
        let count = positions.count(n, shape.positions).max(1) as f64;
        let (over, twice) = (T::from_f64(1.0 / count), T::from_f64(2.0 / count));
        let slope: Vec<T> = g_variance[row.clone()].iter().map(|&g| g * twice).collect();
        let offset: Vec<T> = g_mean[row.clone()].iter().map(|&g| g * over).collect();
        let mean = &mean[row];
        if positions != Positions::All {
            dx.fill(T::ZERO);
        }
        for run in positions.runs(n, shape.positions) {
            let run = run.start * channels..run.end * channels;
            rows::centred_affine(form, &xs[run.clone()], mean, &slope, &offset, &mut dx[run]);
        }
    });
}

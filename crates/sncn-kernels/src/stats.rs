//! Instance statistics: mean and biased variance of every (instance, channel) over its positions.
//!
//! x is (N, positions, C), channels last. Two passes (mean, then squared distances to it), partial sums of 32 positions
//! in the element type and then in double precision, so that a mean that is large against the spread does not cancel.
//! In f32 both passes go over a piece of the map that stays in the cache, and the pieces' moments are merged: memory is
//! read once. Instances are independent: the result does not depend on the number of threads.

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
                *sum += part.to_f64();
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
    match (T::as_f32(xs), T::as_f32_mut(mean), T::as_f32_mut(variance)) {
        (Some(xs), Some(mean), Some(variance)) => instance_stats_by(Form::current(), xs, shape, positions, mean, variance),
        _ => instance_stats_generic(xs, shape, positions, mean, variance),
    }
}

/// The larger of v and 0; NaN where v is.
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
        for table in [&mut self.mean, &mut self.squares, &mut self.one, &mut self.two] {
            table.clear();
            table.resize(channels, 0.0);
        }
        self.centre.resize(channels, 0.0);
    }

    /// Takes in a piece: `runs` of elements, `count` positions.
    fn add(&mut self, form: Form, xs: &[f32], runs: &[Range<usize>], count: f64) {
        self.one.fill(0.0);
        runs.iter().for_each(|run| rows::sums_by(form, &xs[run.clone()], &mut self.one));
        self.centre.iter_mut().zip(&self.one).for_each(|(centre, sum)| *centre = (sum / count) as f32);
        self.one.fill(0.0);
        self.two.fill(0.0);
        for run in runs {
            rows::centred_sums_by(form, &xs[run.clone()], &self.centre, &mut self.one, &mut self.two);
        }
        // Chan, Golub, LeVeque 1983: moments of two sets make those of their union
        let total = self.count + count;
        let (share, between) = (count / total, self.count * count / total);
        let moments = self.mean.iter_mut().zip(&mut self.squares);
        for ((mean, squares), ((&one, &two), &centre)) in moments.zip(self.one.iter().zip(&self.two).zip(&self.centre)) {
            let offset = one / count;
            let apart = f64::from(centre) + offset - *mean;
            *mean += apart * share;
            *squares += two - one * offset + apart * apart * between;
        }
        self.count = total;
    }
}

/// [`instance_stats`] in this form.
///
/// # Panics
/// Where slice lengths do not fit the shape or the processor lacks the form.
pub fn instance_stats_by(
    form: Form,
    xs: &[f32],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &mut [f32],
    variance: &mut [f32],
) {
    let channels = shape.channels;
    if form == Form::Naive || xs.is_empty() {
        return instance_stats_generic(xs, shape, positions, mean, variance);
    }
    assert_eq!(xs.len(), shape.instances * shape.instance_len(), "values");
    assert_eq!((mean.len(), variance.len()), (shape.instances * channels, shape.instances * channels), "tables");
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

/// [`instance_stats`] as plain loops, for any element.
///
/// # Panics
/// As [`instance_stats`].
pub fn instance_stats_generic<T: Real>(xs: &[T], shape: MapShape, positions: Positions<'_>, mean: &mut [T], variance: &mut [T]) {
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
                *mean = T::from_f64(sum / count);
            }
            let centre: &[T] = mean;
            let squares = reduce(xs, channels, positions.runs(n, shape.positions), |c, x| (x - centre[c]) * (x - centre[c]));
            // the mean is rounded to the element type; what that shifts the squares by is known exactly
            for (c, variance) in variance.iter_mut().enumerate() {
                let offset = sums[c] / count - centre[c].to_f64();
                *variance = T::from_f64(not_below_zero(squares[c] / count - offset * offset));
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
    match (T::as_f32(xs), T::as_f32(mean), T::as_f32(g_mean), T::as_f32(g_variance), T::as_f32_mut(dx)) {
        (Some(xs), Some(mean), Some(g_mean), Some(g_variance), Some(dx)) => {
            instance_stats_backward_by(Form::current(), xs, shape, positions, mean, g_mean, g_variance, dx);
        }
        _ => instance_stats_backward_generic(xs, shape, positions, mean, g_mean, g_variance, dx),
    }
}

/// [`instance_stats_backward`] in this form.
///
/// # Panics
/// Where slice lengths do not fit the shape or the processor lacks the form.
#[allow(clippy::too_many_arguments, reason = "a form, a map, its extents, and a gradient for each table")]
pub fn instance_stats_backward_by(
    form: Form,
    xs: &[f32],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &[f32],
    g_mean: &[f32],
    g_variance: &[f32],
    dx: &mut [f32],
) {
    backward(xs, shape, positions, [mean, g_mean, g_variance], dx, |xs, mean, slope, offset, dx| {
        rows::centred_affine_by(form, xs, mean, slope, offset, false, dx);
    });
}

/// [`instance_stats_backward`] as plain loops, for any element.
///
/// # Panics
/// As [`instance_stats_backward`].
pub fn instance_stats_backward_generic<T: Real>(
    xs: &[T],
    shape: MapShape,
    positions: Positions<'_>,
    mean: &[T],
    g_mean: &[T],
    g_variance: &[T],
    dx: &mut [T],
) {
    backward(xs, shape, positions, [mean, g_mean, g_variance], dx, |xs, mean, slope, offset, dx| {
        rows::naive::centred_affine(xs, mean, slope, offset, false, dx);
    });
}

/// Calls `run(x, mean, slope, offset, dx)` for every run of positions of every instance.
fn backward<T: Real>(
    xs: &[T],
    shape: MapShape,
    positions: Positions<'_>,
    [mean, g_mean, g_variance]: [&[T]; 3],
    dx: &mut [T],
    each: impl Fn(&[T], &[T], &[T], &[T], &mut [T]) + Sync,
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
        let (over, twice) = (T::from_f64(1.0 / count), T::from_f64(2.0 / count));
        let slope: Vec<T> = g_variance[table.clone()].iter().map(|&g| g * twice).collect();
        let offset: Vec<T> = g_mean[table.clone()].iter().map(|&g| g * over).collect();
        let mean = &mean[table];
        if positions != Positions::All {
            dx.fill(T::ZERO);
        }
        for run in positions.runs(n, shape.positions) {
            let run = run.start * channels..run.end * channels;
            each(&xs[run.clone()], mean, &slope, &offset, &mut dx[run]);
        }
    });
}

//! Operations of two maps: addition, with or without ReLU after it, and concatenation of channels.

use super::feature_map::FeatureMap;
use super::gather::Gather;
use super::later;
use super::map::Map;
use super::observe::done;
use super::pooled::{Pooled, Values};
use super::recording::Recording;
use crate::ops;
use crate::rule::Moments;
use crate::trace::{self, Operation};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation};
use sncn_kernels::simd::Form as Kernels;
use std::sync::Arc;

impl FeatureMap {
    /// Adds `other` to this map; both must belong to one recording.
    ///
    /// # Errors
    /// Returns an error where the shapes differ, the maps belong to different recordings, or only one is recorded.
    pub fn add(&self, other: &Self) -> Result<Self> {
        let after = After { relu: false, gather: true };
        self.both(other, sum, |recording, xs, ys| add(recording, xs, ys, after))
    }

    /// Adds `other` to this map and applies ReLU. With `gather` a training pass computes the statistics of the result too, for a layer
    /// that needs them.
    ///
    /// # Errors
    /// As [`FeatureMap::add`].
    pub fn add_relu(&self, other: &Self, gather: bool) -> Result<Self> {
        let after = After { relu: true, gather };
        self.both(other, |xs, ys| ops::relu(&sum(xs, ys)?), |recording, xs, ys| add(recording, xs, ys, after))
    }

    /// Concatenates the channels of this map and `other`; both must belong to one recording.
    ///
    /// # Errors
    /// Returns an error where (N, H, W) differ, the maps belong to different recordings, or only one is recorded.
    pub fn concat(&self, other: &Self) -> Result<Self> {
        self.both(other, |xs, ys| ops::concatenate(&[xs, ys]), concat)
    }
}

/// The sum of two tensors.
pub(super) fn sum(xs: &Tensor, ys: &Tensor) -> Result<Tensor> {
    let sum = (xs + ys)?;
    trace::note(|| Operation::Add, &[xs, ys], &sum);
    Ok(sum)
}

/// Values of a sum that are worked on at a time.
const BLOCK: usize = 1 << 15;

/// What follows an addition: ReLU, and in a training pass the statistics of the result.
#[derive(Clone, Copy)]
struct After {
    relu: bool,
    gather: bool,
}

/// The sum of two maps.
fn add(recording: &Recording, xs: &Map, ys: &Map, after: After) -> Result<Map> {
    if xs.dims != ys.dims {
        bail!("add: maps of shape {:?} and {:?}", xs.dims, ys.dims)
    }
    let After { relu, gather: wanted } = after;
    if !recording.mode().record {
        let sum = add_later(recording, xs, ys);
        return Ok(if relu { sum.with_activation(recording, Activation::Relu) } else { sum });
    }
    let (gather, c) = (Gather::default(), xs.dims.3);
    let mut data = Pooled::take(xs.body.len());
    let finish = |n: usize, start: usize, out: &mut [f32]| {
        if relu {
            // NaN stays NaN
            out.iter_mut().for_each(|y| *y = if *y < 0. { 0. } else { *y });
        }
        if wanted {
            gather.add(n, start, out, c);
        }
    };
    write_sum(xs, ys, &finish, &mut data);
    let sum = Map::new(recording, xs.dims, data);
    let sum = if wanted { sum.with_moments(gather.moments(xs.dims.0, c)) } else { sum };
    let (slot, one, two) = (sum.slot, xs.slot, ys.slot);
    let rectified = relu.then(|| sum.clone());
    done("addition: forward");
    recording.record(move |gradients| {
        let Some(mut gradient) = gradients.take(slot) else { return };
        if let Some(sum) = &rectified {
            let (ones, zeros) = (vec![1.; c], vec![0.; c]);
            let mut masked = gradient.into_pooled();
            let instances = masked.par_chunks_exact_mut(sum.instance_len()).enumerate();
            instances.for_each(|(n, g)| {
                rows::activate_backward(
                    Kernels::current(),
                    g,
                    &sum.positions_from(n, 0, g.len()),
                    &ones,
                    &zeros,
                    Activation::Relu,
                )
            });
            gradient = Values::Own(masked);
        }
        let gradient = Arc::new(gradient.into_pooled());
        gradients.give(one, Values::Shared(gradient.clone()));
        gradients.give(two, Values::Shared(gradient));
        done("addition: backward");
    });
    Ok(sum)
}

/// Writes the sum of two maps block by block; each step finds what the one before wrote in the cache.
fn write_sum(xs: &Map, ys: &Map, after: &later::After<'_>, data: &mut [f32]) {
    let c = xs.dims.3;
    let positions = (BLOCK / c).max(1);
    data.par_chunks_exact_mut(xs.instance_len()).enumerate().for_each(|(n, out)| {
        out.par_chunks_mut(positions * c).enumerate().for_each(|(block, out)| {
            let start = block * positions;
            xs.read(n, start, out);
            ys.add_to(n, start, out);
            after(n, start, out);
        });
    });
}

/// The sum of two maps, kept back until it is read. If one of them is not written yet, and nothing else needs it, the other is added
/// as that is written.
fn add_later(recording: &Recording, xs: &Map, ys: &Map) -> Map {
    let dims = xs.dims;
    let swap = !xs.is_alone_and_unwritten() && ys.is_alone_and_unwritten();
    let (xs, ys) = if swap { (ys, xs) } else { (xs, ys) };
    let ys = ys.ready(recording);
    let write: later::Write = if xs.is_alone_and_unwritten() {
        let xs = xs.clone();
        Box::new(move |after, data| {
            let add = |n: usize, start: usize, out: &mut [f32]| {
                ys.add_to(n, start, out);
                after(n, start, out);
            };
            xs.write(&add, data);
        })
    } else {
        let xs = xs.ready(recording);
        Box::new(move |after, data| {
            write_sum(&xs, &ys, after, data);
            done("addition: forward");
        })
    };
    Map::later(recording, dims, write)
}

/// Copies instance `n` of a map, with what is pending applied, to the channels from `first` on of rows of `c` channels.
fn copy_channels(map: &Map, n: usize, first: usize, c: usize, out: &mut [f32]) {
    let own = map.dims.3;
    let mut spread = |xs: &[f32]| {
        let rows = out.chunks_exact_mut(c).zip(xs.chunks_exact(own));
        rows.for_each(|(to, xs)| to[first..first + own].copy_from_slice(xs));
    };
    if map.pending.is_none() {
        return spread(&map.positions_from(n, 0, map.instance_len()));
    }
    let mut values = Pooled::take(map.instance_len());
    map.read(n, 0, &mut values);
    spread(&values);
}

/// The channels of `xs`, then those of `ys`, with their statistics.
fn concat(recording: &Recording, xs: &Map, ys: &Map) -> Result<Map> {
    let (n, h, w, first) = xs.dims;
    let (c, len) = (first + ys.dims.3, xs.positions());
    if (n, h, w) != (ys.dims.0, ys.dims.1, ys.dims.2) {
        bail!("concat: maps of shape {:?} and {:?}", xs.dims, ys.dims)
    }
    let (xs, ys) = (&xs.ready(recording), &ys.ready(recording));
    let mut data = Pooled::take(n * len * c);
    data.par_chunks_exact_mut(len * c).enumerate().for_each(|(n, out)| {
        copy_channels(xs, n, 0, c, out);
        copy_channels(ys, n, first, c, out);
    });
    let (one, two) = (xs.seen(xs.raw()), ys.seen(ys.raw()));
    let concatenated = |one: &[f64], two: &[f64]| -> Vec<f64> {
        one.chunks_exact(first).zip(two.chunks_exact(c - first)).flat_map(|(one, two)| one.iter().chain(two).copied()).collect()
    };
    let moments = Moments { mean: concatenated(&one.mean, &two.mean), variance: concatenated(&one.variance, &two.variance) };
    let joined = Map::new(recording, (n, h, w, c), data).with_moments(moments);
    let (slot, one, two) = (joined.slot, xs.slot, ys.slot);
    done("concatenation: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        for (to, channels) in [(one, 0..first), (two, first..c)] {
            let mut part = Pooled::take(n * len * channels.len());
            part.par_chunks_exact_mut(len * channels.len()).enumerate().for_each(|(n, part)| {
                let gradient = gradient.part(n * len * c..(n + 1) * len * c);
                let rows = part.chunks_exact_mut(channels.len()).zip(gradient.chunks_exact(c));
                rows.for_each(|(to, from)| to.copy_from_slice(&from[channels.clone()]));
            });
            gradients.give(to, Values::Own(part));
        }
        done("concatenation: backward");
    });
    Ok(joined)
}

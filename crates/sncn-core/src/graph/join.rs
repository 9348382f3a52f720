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
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation};
use sncn_kernels::simd::Form as Kernels;
use std::sync::Arc;

impl FeatureMap {
    /// Adds `other` to this map; both must belong to one recording. The statistics of the result are computed where those of
    /// convolutions are ([`FeatureMap::gather_statistics`]).
    ///
    /// # Errors
    /// Returns an error where the shapes differ, the maps belong to different recordings, or only one is recorded.
    pub fn add(&self, other: &Self) -> Result<Self> {
        let after = |recording: &Recording| After::Nothing { gather: !recording.mode().bare };
        self.both(other, |xs, ys| xs + ys, |recording, xs, ys| add(recording, xs, ys, after(recording)))
    }

    /// Adds `other` to this map and applies ReLU. With `gather` the statistics of the result are computed too, for a layer that needs
    /// them.
    ///
    /// # Errors
    /// As [`FeatureMap::add`].
    pub fn add_relu(&self, other: &Self, gather: bool) -> Result<Self> {
        let after = After::Relu { gather };
        self.both(other, |xs, ys| ops::relu(&(xs + ys)?), |recording, xs, ys| add(recording, xs, ys, after))
    }

    /// Concatenates the channels of this map and `other`; both must belong to one recording.
    ///
    /// # Errors
    /// Returns an error where (N, H, W) differ, the maps belong to different recordings, or only one is recorded.
    pub fn concat(&self, other: &Self) -> Result<Self> {
        self.both(other, |xs, ys| Tensor::cat(&[xs, ys], 3), concat)
    }
}

/// Values of a sum that are worked on at a time.
const BLOCK: usize = 1 << 15;

/// What follows an addition; statistics are computed with `gather`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing { gather: bool },
    Relu { gather: bool },
}

/// The sum of two maps.
fn add(recording: &Recording, xs: &Map, ys: &Map, after: After) -> Result<Map> {
    if xs.dims != ys.dims {
        bail!("add: maps of shape {:?} and {:?}", xs.dims, ys.dims)
    }
    let (relu, wanted) = match after {
        After::Nothing { gather } => (false, gather),
        After::Relu { gather } => (true, gather),
    };
    if let Some(sum) = add_later(recording, xs, ys).or_else(|| add_later(recording, ys, xs)) {
        return Ok(if relu { sum.with_activation(recording, Activation::Relu) } else { sum });
    }
    let (xs, ys) = (&xs.ready(recording), &ys.ready(recording));
    let mut data = Pooled::take(xs.body.len());
    let gather = Gather::default();
    let c = xs.dims.3;
    // each step finds what the one before wrote in the cache
    let positions = (BLOCK / c).max(1);
    data.par_chunks_exact_mut(xs.instance_len()).enumerate().for_each(|(n, out)| {
        out.par_chunks_mut(positions * c).enumerate().for_each(|(block, out)| {
            let start = block * positions;
            xs.read(n, start, out);
            ys.add_to(n, start, out);
            if relu {
                // NaN stays NaN
                out.iter_mut().for_each(|y| *y = if *y < 0. { 0. } else { *y });
            }
            if wanted {
                gather.add(n, start, out, c);
            }
        });
    });
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

/// The sum of a map that is not written yet, and which nothing else needs, and another one: computed as the first is written.
fn add_later(recording: &Recording, xs: &Map, ys: &Map) -> Option<Map> {
    if !xs.is_alone_and_unwritten() {
        return None;
    }
    let (dims, xs, ys) = (xs.dims, xs.clone(), ys.ready(recording));
    let write = move |after: &later::After<'_>, data: &mut [f32]| {
        let add = |n: usize, start: usize, out: &mut [f32]| {
            ys.add_to(n, start, out);
            after(n, start, out);
        };
        xs.write(&add, data);
    };
    Some(Map::later(recording, dims, Box::new(write)))
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

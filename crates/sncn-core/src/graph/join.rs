//! What residual and dense networks have besides convolutions: additions, a rectifier after them, norms without one,
//! concatenation and 2×2 means.

use super::buffer::{Buffer, Values};
use super::map::{Activation, Gather, Map, Source, Table, View};
use super::observe::done;
use super::{FeatureMap, Form, Graph, norm};
use crate::layer::{BatchNorm, Layer};
use crate::ops;
use crate::pass::Pass;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows;
use std::sync::Arc;

impl FeatureMap {
    /// BatchNorm without a rectifier.
    ///
    /// # Errors
    /// As [`BatchNorm`].
    pub fn norm(&self, layer: &BatchNorm, pass: &Pass) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| layer.forward(xs, pass)),
            _ => self.on_recording(|graph, map| norm::norm(graph, map, layer, pass.train)),
        }
    }

    /// The rectifier, applied by whoever reads the map.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn relu(&self) -> Result<Self> {
        match &self.settled()?.0 {
            Form::Tensor(xs, precision) => Ok(Self(Form::Tensor(ops::relu(xs)?, *precision))),
            Form::Map(graph, map) => Ok(Self(Form::Activation(graph.clone(), rectified(graph, map)))),
            Form::Activation(..) => bail!("an activation was not settled"),
        }
    }

    /// max(0, sum of two maps); `gather` says that a layer to come wants statistics of it.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn add_relu(&self, other: &Self, gather: bool) -> Result<Self> {
        self.joined(other, |xs, ys| ops::relu(&(xs + ys)?), |graph, xs, ys| add(graph, xs, ys, After::Relu { gather }))
    }

    /// The channels of both, this map's first.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn concat(&self, other: &Self) -> Result<Self> {
        self.joined(other, |xs, ys| Tensor::cat(&[xs, ys], 3), concat)
    }

    /// Means over 2×2 positions; a last odd row or column is dropped.
    ///
    /// # Errors
    /// Where the map is smaller.
    pub fn avg_pool2(&self) -> Result<Self> {
        match &self.0 {
            Form::Tensor(..) => self.on_tensor(|xs| ops::avg_pool2d(xs, 2, 2)),
            _ => self.on_recording(avg_pool2),
        }
    }

    /// The same map, where nothing that is done with it gets or gives a gradient.
    pub fn aside(&self) -> Self {
        Self(match &self.0 {
            Form::Tensor(xs, precision) => Form::Tensor(xs.detach(), *precision),
            Form::Map(_, map) => Form::Map(Graph::default(), map.clone()),
            Form::Activation(_, activation) => Form::Activation(Graph::default(), activation.clone()),
        })
    }

    pub(super) fn joined(
        &self,
        other: &Self,
        tensors: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
        maps: impl FnOnce(&Graph, &Map, &Map) -> Result<Map>,
    ) -> Result<Self> {
        match (&self.settled()?.0, &other.settled()?.0) {
            (Form::Tensor(xs, precision), Form::Tensor(ys, _)) => Ok(Self(Form::Tensor(tensors(xs, ys)?, *precision))),
            (Form::Map(graph, xs), Form::Map(_, ys)) => Ok(Self(Form::Map(graph.clone(), maps(graph, xs, ys)?))),
            _ => bail!("a recorded map and a tensor are joined: start both from one map"),
        }
    }
}

/// What follows an addition.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing; statistics are gathered.
    Gather,
    /// A rectifier; statistics are gathered where wanted.
    Relu { gather: bool },
}

/// The sum of two maps, written out.
pub(super) fn add(graph: &Graph, xs: &Map, ys: &Map, after: After) -> Result<Map> {
    if xs.dims != ys.dims {
        bail!("maps of shape {:?} and {:?} do not add", xs.dims, ys.dims)
    }
    let mut data = Buffer::take(xs.data.len());
    let gather = Gather::default();
    let (source, c) = (Source::from(xs), xs.dims.3);
    data.par_chunks_exact_mut(xs.instance_len()).enumerate().for_each(|(n, out)| {
        source.read(n, 0, out);
        ys.add_to(n, 0, out);
        if after != After::Gather {
            // NaN stays NaN
            out.iter_mut().for_each(|y| *y = if *y < 0. { 0. } else { *y });
        }
        if after != (After::Relu { gather: false }) {
            gather.add(n, 0, out, c);
        }
    });
    let sum = Map::new(graph, xs.dims, data);
    let sum = if after == (After::Relu { gather: false }) { sum } else { sum.with_table(gather.table(xs.dims)) };
    let (slot, one, two) = (sum.slot, xs.slot, ys.slot);
    let rectified = (after != After::Gather).then(|| sum.clone());
    done("addition: forward");
    graph.record(move |gradients| {
        let Some(mut gradient) = gradients.take(slot) else { return };
        if let Some(sum) = &rectified {
            let (ones, zeros) = (vec![1.; c], vec![0.; c]);
            let mut masked = gradient.into_buffer();
            let instances = masked.par_chunks_exact_mut(sum.instance_len()).enumerate();
            instances.for_each(|(n, g)| rows::mask(g, &sum.instance(n), &ones, &zeros));
            gradient = Values::Own(masked);
        }
        let gradient = Arc::new(gradient.into_buffer());
        gradients.give(one, Values::Shared(gradient.clone()));
        gradients.give(two, Values::Shared(gradient));
        done("addition: backward");
    });
    Ok(sum)
}

/// The map, rectified by whoever reads it.
fn rectified(graph: &Graph, map: &Map) -> Activation {
    let entries = map.dims.0 * map.dims.3;
    let identity = || Arc::new(View { scale: vec![1.; entries], shift: vec![0.; entries] });
    let tables = map.view.clone().unwrap_or_else(identity);
    let (slot, to) = (graph.slot(), map.slot);
    graph.record(move |gradients| {
        gradients.sums[slot] = None;
        if let Some(gradient) = gradients.take(slot) {
            gradients.give(to, gradient);
        }
    });
    Activation { map: map.clone(), slot, tables }
}

/// Copies instance `n` of a map, as it is read, to the channels from `first` on of rows of `c` channels.
fn copy_channels(map: &Map, n: usize, first: usize, c: usize, out: &mut [f32]) {
    let own = map.dims.3;
    let mut spread = |xs: &[f32]| {
        let rows = out.chunks_exact_mut(c).zip(xs.chunks_exact(own));
        rows.for_each(|(to, xs)| to[first..first + own].copy_from_slice(xs));
    };
    if map.view.is_none() {
        return spread(&map.instance(n));
    }
    let mut values = Buffer::take(map.instance_len());
    Source::from(map).read(n, 0, &mut values);
    spread(&values);
}

/// The channels of `xs`, then those of `ys`; statistics are theirs.
fn concat(graph: &Graph, xs: &Map, ys: &Map) -> Result<Map> {
    let (n, h, w, first) = xs.dims;
    let (c, len) = (first + ys.dims.3, xs.positions());
    if (n, h, w) != (ys.dims.0, ys.dims.1, ys.dims.2) {
        bail!("maps of shape {:?} and {:?} have no channels to put together", xs.dims, ys.dims)
    }
    let mut data = Buffer::take(n * len * c);
    data.par_chunks_exact_mut(len * c).enumerate().for_each(|(n, out)| {
        copy_channels(xs, n, 0, c, out);
        copy_channels(ys, n, first, c, out);
    });
    let (one, two) = (xs.stats(), ys.stats());
    let side_by_side = |one: &[f64], two: &[f64]| -> Vec<f64> {
        one.chunks_exact(first).zip(two.chunks_exact(c - first)).flat_map(|(one, two)| one.iter().chain(two).copied()).collect()
    };
    let table = Table { mean: side_by_side(&one.mean, &two.mean), variance: side_by_side(&one.variance, &two.variance) };
    let joined = Map::new(graph, (n, h, w, c), data).with_table(table);
    let (slot, one, two) = (joined.slot, xs.slot, ys.slot);
    done("concatenation: forward");
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        for (to, channels) in [(one, 0..first), (two, first..c)] {
            let mut part = Buffer::take(n * len * channels.len());
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

/// Means over 2×2 positions, with their statistics.
fn avg_pool2(graph: &Graph, map: &Map) -> Result<Map> {
    let (n, h, w, c) = map.dims;
    let (ho, wo) = (h / 2, w / 2);
    if ho * wo == 0 {
        bail!("a map of shape {:?} has no 2 × 2 positions", map.dims)
    }
    let mut data = Buffer::take(n * ho * wo * c);
    let gather = Gather::default();
    let source = Source::from(map);
    data.par_chunks_exact_mut(ho * wo * c).enumerate().for_each(|(n, out)| {
        let mut rows = Buffer::take(2 * w * c);
        for (y, out) in out.chunks_exact_mut(wo * c).enumerate() {
            source.read(n, 2 * y * w, &mut rows);
            let (upper, lower) = rows.split_at(w * c);
            let pairs = upper.chunks_exact(2 * c).zip(lower.chunks_exact(2 * c));
            for (out, (upper, lower)) in out.chunks_exact_mut(c).zip(pairs) {
                for (k, out) in out.iter_mut().enumerate() {
                    *out = (upper[k] + upper[c + k] + lower[k] + lower[c + k]) * 0.25;
                }
            }
        }
        gather.add(n, 0, out, c);
    });
    let pooled = Map::new(graph, (n, ho, wo, c), data).with_table(gather.table((n, ho, wo, c)));
    let (slot, to) = (pooled.slot, map.slot);
    done("2×2 means: forward");
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut dx = Buffer::take(n * h * w * c);
        dx.par_chunks_exact_mut(h * w * c).enumerate().for_each(|(n, dx)| {
            dx.fill(0.);
            let gradient = gradient.part(n * ho * wo * c..(n + 1) * ho * wo * c);
            for (i, g) in gradient.chunks_exact(c).enumerate() {
                let (y, x) = (2 * (i / wo), 2 * (i % wo));
                for at in [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)].map(|(y, x)| (y * w + x) * c) {
                    dx[at..at + c].iter_mut().zip(g).for_each(|(dx, g)| *dx = g * 0.25);
                }
            }
        });
        gradients.give(to, Values::Own(dx));
        done("2×2 means: backward");
    });
    Ok(pooled)
}

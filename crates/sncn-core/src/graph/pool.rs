//! Pooling and dropout of maps.

use super::end;
use super::feature_map::{FeatureMap, Repr};
use super::gather::Gather;
use super::map::Map;
use super::observe::done;
use super::pooled::{Pooled, Values};
use super::recording::Recording;
use crate::Seed;
use crate::ops;
use crate::trace::{self, Operation};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::pool::{PoolShape, max_pool_backward, max_pool_forward};
use sncn_kernels::simd::Form as Kernels;

impl FeatureMap {
    /// Computes the mean over all positions, a tensor (N, C) on candle's tape. This ends a recording with gradients.
    ///
    /// # Errors
    /// Returns an error where the recording has ended before.
    pub fn global_avg_pool(&self) -> Result<Tensor> {
        let (_, h, w, _) = self.dims()?;
        self.corner_mean(h, w)
    }

    /// Computes the mean over the first `rows` rows and `columns` columns, a tensor (N, C) on candle's tape. This ends a recording with gradients.
    ///
    /// # Errors
    /// Returns an error where the map has fewer rows or columns, either number is 0, or the recording has ended before.
    pub fn corner_mean(&self, rows: usize, columns: usize) -> Result<Tensor> {
        let (_, h, w, _) = self.dims()?;
        if rows > h || columns > w || rows * columns == 0 {
            bail!("a mean over {rows} × {columns} positions of a map of {h} × {w}")
        }
        match &self.0 {
            Repr::Tensor(xs, _) => {
                let means = ops::global_avg_pool(&xs.narrow(1, 0, rows)?.narrow(2, 0, columns)?)?;
                trace::note(|| Operation::Mean { rows, columns }, &[xs], &means);
                Ok(means)
            }
            Repr::Map(recording, map) => end::pool(recording, &map.ready(recording), (rows, columns)),
        }
    }

    /// Computes the means over 2×2 positions with stride 2; a last odd row or column is dropped.
    ///
    /// # Errors
    /// Returns an error where height or width is less than 2.
    pub fn avg_pool2(&self) -> Result<Self> {
        let plain = |xs: &Tensor| {
            let means = ops::avg_pool2d(xs, 2, 2)?;
            trace::note(|| Operation::AveragePool2, &[xs], &means);
            Ok(means)
        };
        self.either(plain, avg_pool2)
    }

    /// Computes the maxima of square windows, as [`ops::max_pool2d`].
    ///
    /// # Errors
    /// As [`ops::max_pool2d`].
    pub fn max_pool(&self, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        let window = (kernel, stride, padding);
        self.reading(
            |xs| {
                let maxima = ops::max_pool2d(xs, kernel, stride, padding)?;
                trace::note(|| Operation::MaxPool { kernel, stride, padding }, &[xs], &maxima);
                Ok(maxima)
            },
            |recording, map| Ok(max_pool(recording, map, ops::pool_shape(map.dims, window)?)),
        )
    }

    /// Applies dropout, as [`ops::dropout`].
    ///
    /// # Errors
    /// Returns an error where the rate is not in 0..1.
    pub fn dropout(&self, rate: f64, seed: Seed) -> Result<Self> {
        ops::check_rate(rate)?;
        self.either(|xs| ops::dropout(xs, rate, seed), |recording, map| Ok(dropout(recording, map, rate, seed)))
    }
}

/// Height and width after 2×2 pooling.
fn halves(dims: (usize, usize, usize, usize)) -> Result<(usize, usize)> {
    let (_, h, w, _) = dims;
    if h < 2 || w < 2 {
        bail!("avg_pool2: a map of shape {dims:?}; height and width must be at least 2")
    }
    Ok((h / 2, w / 2))
}

/// Maxima of windows; what is pending is applied to one instance at a time.
fn max_pool(recording: &Recording, source: &Map, shape: PoolShape) -> Map {
    let ((ho, wo), n, c) = (shape.output(), shape.n, shape.c);
    let one = PoolShape { n: 1, ..shape };
    let (size, len) = (ho * wo * c, source.instance_len());
    let (mut data, mut places) = (Pooled::take(n * size), vec![0; n * size]);
    let instances = data.par_chunks_exact_mut(size).zip(places.par_chunks_exact_mut(size)).enumerate();
    instances.for_each(|(n, (out, places))| {
        let mut values = Pooled::take(len);
        source.read(n, 0, &mut values);
        max_pool_forward(Kernels::current(), &values, &one, out, places);
    });
    let pooled = Map::new(recording, (n, ho, wo, c), data);
    let (slot, source) = (pooled.slot, source.clone());
    done("maxima: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let dx = Pooled::take(source.body.len());
        source.give(gradients, dx, |n, dx| {
            let at = n * size..(n + 1) * size;
            max_pool_backward(Kernels::current(), &gradient.part(at.clone()), &places[at], &one, dx);
        });
        done("maxima: backward");
    });
    pooled
}

/// Dropout; the backward pass draws the same random bits again.
fn dropout(recording: &Recording, map: &Map, rate: f64, seed: Seed) -> Map {
    let (mut data, len) = (Pooled::take(map.body.len()), map.instance_len());
    data.par_chunks_exact_mut(len).enumerate().for_each(|(n, out)| {
        map.read(n, 0, out);
        ops::drop_of(seed, n, rate, out);
    });
    let dropped = Map::new(recording, map.dims, data);
    let (slot, to) = (dropped.slot, map.slot);
    done("dropout: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gradient = gradient.into_pooled();
        gradient.par_chunks_exact_mut(len).enumerate().for_each(|(n, g)| ops::drop_of(seed, n, rate, g));
        gradients.give(to, Values::Own(gradient));
        done("dropout: backward");
    });
    dropped
}

/// Means over 2×2 positions, with the statistics of the result.
fn avg_pool2(recording: &Recording, map: &Map) -> Result<Map> {
    let (n, h, w, c) = map.dims;
    let (ho, wo) = halves(map.dims)?;
    let mut data = Pooled::take(n * ho * wo * c);
    let gather = Gather::default();
    data.par_chunks_exact_mut(ho * wo * c).enumerate().for_each(|(n, out)| {
        let mut rows = Pooled::take(2 * w * c);
        for (y, out) in out.chunks_exact_mut(wo * c).enumerate() {
            map.read(n, 2 * y * w, &mut rows);
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
    let pooled = Map::new(recording, (n, ho, wo, c), data).with_moments(gather.moments(n, c));
    let (slot, to) = (pooled.slot, map.slot);
    done("2×2 means: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut dx = Pooled::take(n * h * w * c);
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

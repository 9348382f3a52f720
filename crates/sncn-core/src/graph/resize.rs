//! Bilinear resizing, and the mean over positions as a map of one position, for segmentation heads.

use super::feature_map::FeatureMap;
use super::map::Map;
use super::observe::done;
use super::pooled::Pooled;
use super::recording::Recording;
use crate::ops;
use crate::trace::{self, Operation};
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use sncn_kernels::resize::{ResizeShape, resize_backward, resize_forward};
use sncn_kernels::rows::centred_sums;
use sncn_kernels::simd::Form as Kernels;

impl FeatureMap {
    /// Resizes the map to (height, width), as [`ops::resize_bilinear`].
    ///
    /// # Errors
    /// Returns an error where height or width is 0.
    pub fn resize_bilinear(&self, size: (usize, usize)) -> Result<Self> {
        self.either(
            |xs| ops::resize_bilinear(xs, size),
            |recording, map| Ok(resize(recording, map, ops::resize_shape(map.dims, size, true)?)),
        )
    }

    /// Computes the mean over all positions as a map (N, 1, 1, C), PyTorch's `AdaptiveAvgPool2d(1)`.
    ///
    /// # Errors
    /// Returns an error for an empty tensor; never on a recorded map.
    pub fn global_avg_pool_keepdim(&self) -> Result<Self> {
        let plain = |xs: &Tensor| {
            let means = ops::global_avg_pool(xs)?.unsqueeze(1)?.unsqueeze(1)?;
            trace::note(|| Operation::MeanMap, &[xs], &means);
            Ok(means)
        };
        self.either(plain, |recording, map| Ok(mean_map(recording, map)))
    }
}

/// The resized map.
fn resize(recording: &Recording, map: &Map, shape: ResizeShape) -> Map {
    let (n, c, len) = (shape.n, shape.c, map.instance_len());
    let (one, size) = (ResizeShape { n: 1, ..shape }, shape.ho * shape.wo * shape.c);
    let mut data = Pooled::take(n * size);
    data.par_chunks_exact_mut(size).enumerate().for_each(|(n, out)| {
        let mut values = Pooled::take(len);
        map.read(n, 0, &mut values);
        resize_forward(Kernels::current(), &values, &one, out);
    });
    let resized = Map::new(recording, (n, shape.ho, shape.wo, c), data);
    let (slot, map) = (resized.slot, map.clone());
    done("resize: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        map.give(gradients, Pooled::take(map.body.len()), |n, dx| {
            resize_backward(Kernels::current(), &gradient.part(n * size..(n + 1) * size), &one, dx)
        });
        done("resize: backward");
    });
    resized
}

/// The mean over all positions.
fn mean_map(recording: &Recording, map: &Map) -> Map {
    let ((n, _, _, c), len) = (map.dims, map.instance_len());
    let positions = map.positions() as f64;
    let mut data = Pooled::take(n * c);
    data.par_chunks_exact_mut(c).enumerate().for_each(|(n, out)| {
        let mut values = Pooled::take(len);
        map.read(n, 0, &mut values);
        let (mut sum, mut squares) = (vec![0.; c], vec![0.; c]);
        centred_sums(Kernels::current(), &values, &vec![0.; c], &mut sum, &mut squares);
        out.iter_mut().zip(&sum).for_each(|(out, sum)| *out = (sum / positions) as f32);
    });
    let mean = Map::new(recording, (n, 1, 1, c), data);
    let (slot, map) = (mean.slot, map.clone());
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        map.give(gradients, Pooled::take(map.body.len()), |n, dx| {
            let each: Vec<f32> = gradient.part(n * c..(n + 1) * c).iter().map(|g| g / positions as f32).collect();
            dx.chunks_exact_mut(c).for_each(|dx| dx.copy_from_slice(&each));
        });
    });
    mean
}

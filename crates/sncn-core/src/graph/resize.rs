//! Bilinear resizing, and the mean over positions as a map of one position: what segmentation heads have.

use super::buffer::Buffer;
use super::feature_map::FeatureMap;
use super::map::Map;
use super::observe::done;
use super::recording::Recording;
use crate::ops;
use candle_core::Result;
use rayon::prelude::*;
use sncn_kernels::resize::{ResizeShape, resize_backward, resize_forward};
use sncn_kernels::rows::centred_sums;

impl FeatureMap {
    /// Bilinear resize to (height, width), as [`ops::resize_bilinear`].
    ///
    /// # Errors
    /// Where a size is 0.
    pub fn resize_bilinear(&self, size: (usize, usize)) -> Result<Self> {
        self.either(
            |xs| ops::resize_bilinear(xs, size),
            |recording, map| Ok(resize(recording, map, ops::resize_shape(map.dims, size, true)?)),
        )
    }

    /// Mean over all positions, (N, 1, 1, C).
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn global_avg_pool_keepdim(&self) -> Result<Self> {
        self.either(|xs| ops::global_avg_pool(xs)?.unsqueeze(1)?.unsqueeze(1), |recording, map| Ok(mean_map(recording, map)))
    }
}

/// The map as it is read, at another size.
fn resize(recording: &Recording, map: &Map, shape: ResizeShape) -> Map {
    let (n, c, len) = (shape.n, shape.c, map.instance_len());
    let (one, size) = (ResizeShape { n: 1, ..shape }, shape.ho * shape.wo * shape.c);
    let mut data = Buffer::take(n * size);
    data.par_chunks_exact_mut(size).enumerate().for_each(|(n, out)| {
        let mut values = Buffer::take(len);
        map.read(n, 0, &mut values);
        resize_forward(&values, &one, out);
    });
    let resized = Map::new(recording, (n, shape.ho, shape.wo, c), data);
    let (slot, map) = (resized.slot, map.clone());
    done("resize: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        map.give(gradients, Buffer::take(map.body.len()), |n, dx| {
            resize_backward(&gradient.part(n * size..(n + 1) * size), &one, dx)
        });
        done("resize: backward");
    });
    resized
}

/// The mean of what is read.
fn mean_map(recording: &Recording, map: &Map) -> Map {
    let ((n, _, _, c), len) = (map.dims, map.instance_len());
    let positions = map.positions() as f64;
    let mut data = Buffer::take(n * c);
    data.par_chunks_exact_mut(c).enumerate().for_each(|(n, out)| {
        let mut values = Buffer::take(len);
        map.read(n, 0, &mut values);
        let (mut sum, mut squares) = (vec![0.; c], vec![0.; c]);
        centred_sums(&values, &vec![0.; c], &mut sum, &mut squares);
        out.iter_mut().zip(&sum).for_each(|(out, sum)| *out = (sum / positions) as f32);
    });
    let mean = Map::new(recording, (n, 1, 1, c), data);
    let (slot, map) = (mean.slot, map.clone());
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        map.give(gradients, Buffer::take(map.body.len()), |n, dx| {
            let share: Vec<f32> = gradient.part(n * c..(n + 1) * c).iter().map(|g| g / positions as f32).collect();
            dx.chunks_exact_mut(c).for_each(|dx| dx.copy_from_slice(&share));
        });
    });
    mean
}

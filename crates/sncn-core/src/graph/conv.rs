//! Convolutions of maps.
//!
//! On a recorded map a convolution applies the pending affine map and activation as it reads, adds a second map and computes
//! statistics as it writes, and leaves its bias pending. Backward, it applies the derivative of the activation and computes the sums
//! that affine maps need as it writes the gradient, and the gradient of the bias as it reads that of its result.

use super::feature_map::{FeatureMap, Repr};
use super::gather::{Bands, Gather};
use super::later::After;
use super::map::Map;
use super::observe::done;
use super::pooled::{Part, Pooled, Values};
use super::recording::Recording;
use crate::ops::with_values;
use crate::ops::{self, Conv, conv_shape};
use crate::trace::{self, Operation};
use candle_core::{Result, Tensor, bail};
use sncn_kernels::fused::{
    Direction, PackedWeight, Source, conv_forward, conv_input_gradient, conv_weight_gradient, copy_rows, no_finish,
};
use sncn_kernels::simd::Form as Kernels;

impl FeatureMap {
    /// Convolves the map with `weight` (O, C / groups, kh, kw).
    ///
    /// # Errors
    /// As [`ops::conv2d`].
    pub fn conv(&self, weight: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus::default())
    }

    /// Convolves the map with `weight` and adds `bias` (O).
    ///
    /// # Errors
    /// As [`ops::conv2d`].
    pub fn conv_bias(&self, weight: &Tensor, bias: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus { bias: Some(bias), map: None })
    }

    /// Convolves the map with `weight` and adds `other`: in one pass over memory on recorded maps, where this map has a pending
    /// activation and `other` has none.
    ///
    /// # Errors
    /// As [`ops::conv2d`], and as [`FeatureMap::add`].
    pub fn conv_add(&self, weight: &Tensor, conv: &Conv, other: &Self) -> Result<Self> {
        match (&self.0, &other.0) {
            (Repr::Map(recording, own), Repr::Map(theirs, other))
                if recording.is(theirs) && own.has_activation() && !other.has_activation() =>
            {
                self.conv_plus(weight, conv, Plus { bias: None, map: Some(other) })
            }
            _ => self.conv(weight, conv)?.add(other),
        }
    }

    fn conv_plus(&self, weight: &Tensor, settings: &Conv, plus: Plus<'_>) -> Result<Self> {
        let Repr::Tensor(xs, precision) = &self.0 else {
            return self.reading(|xs| Ok(xs.clone()), |recording, map| conv(recording, map, weight, settings, plus));
        };
        let ys = ops::conv2d_with_precision(xs, weight, plus.bias, settings, *precision)?;
        let traced = || Operation::Convolution { weight: weight.clone(), bias: plus.bias.cloned(), conv: *settings };
        trace::note(traced, &[xs], &ys);
        Ok(Self(Repr::Tensor(ys, *precision)))
    }
}

/// A map as a convolution reads it: what is pending is applied row by row; where nothing is, in place.
struct Reading<'a> {
    map: &'a Map,
    plain: Option<&'a [f32]>,
}

/// All values of a map where nothing is pending.
fn in_place(map: &Map) -> Option<Part<'_>> {
    map.pending.is_none().then(|| map.body.data().part(0..map.body.len()))
}

impl Source for Reading<'_> {
    fn row(&self, image: usize, row: usize, out: &mut [f32]) {
        self.map.read(image, row * self.map.dims.2, out);
    }

    fn plain(&self) -> Option<&[f32]> {
        self.plain
    }
}

/// What is added to the result of a convolution.
#[derive(Clone, Copy, Default)]
struct Plus<'a> {
    /// (O).
    bias: Option<&'a Tensor>,
    map: Option<&'a Map>,
}

/// y = weight ∗ source + bias + another map, with the statistics of y.
fn conv(recording: &Recording, source: &Map, weight: &Tensor, conv: &Conv, plus: Plus<'_>) -> Result<Map> {
    let other = plus.map;
    let (n, h, w, c) = source.dims;
    let shape = conv_shape((n, h, w, c), weight, conv, (conv.padding, conv.padding))?;
    let (ho, wo) = shape.output();
    let dims = (n, ho, wo, shape.c_out);
    if other.is_some_and(|other| other.dims != dims) {
        bail!("conv2d: a map of shape {:?} cannot be added to a result of shape {dims:?}", other.map(|other| other.dims))
    }
    if let Some(bias) = plus.bias
        && bias.dims() != [shape.c_out]
    {
        bail!("conv2d: bias {:?}; accepted: [{}]", bias.dims(), shape.c_out)
    }
    let weight = weight.contiguous()?;
    let packed = with_values(&weight, |values| recording.packed(&weight, values, &shape))?;
    let other = other.map(|other| other.ready(recording));
    let write = {
        let (source, other) = (source.clone(), other.clone());
        move |after: &After<'_>, data: &mut [f32]| {
            let plain = in_place(&source);
            let stage = Reading { map: &source, plain: plain.as_deref() };
            let finish = |n: usize, rows: std::ops::Range<usize>, ys: &mut [f32]| {
                if let Some(other) = &other {
                    other.add_to(n, rows.start * wo, ys);
                }
                after(n, rows.start * wo, ys);
            };
            conv_forward(&shape, &packed, &stage, &finish, data);
            done("convolution: forward");
        }
    };
    let mut ys = if recording.mode().record {
        let (mut data, gather) = (Pooled::take(n * ho * wo * shape.c_out), Gather::default());
        write(&|n, start, ys| gather.add(n, start, ys, shape.c_out), &mut data);
        Map::new(recording, dims, data).with_moments(gather.moments(n, shape.c_out))
    } else {
        Map::later(recording, dims, Box::new(write))
    };
    if let Some(bias) = plus.bias {
        let biases = with_values(&bias.contiguous()?, |bias| bias.repeat(n))?;
        // the gradient of the sum is that of the values before the bias
        ys = ys.with_pending(ys.slot, vec![1.; biases.len()], biases);
    }
    let (parameter, other) = (recording.parameter(&weight), other.map(|other| other.slot));
    let bias = plus.bias.map(|bias| recording.parameter(bias));
    let weight = Values::Tensor(weight);
    let (slot, to_source, source) = (ys.slot, recording.wants(source.slot), source.clone());
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gy = gradient.part(0..gradient.len());
        let (read, plain) = (copy_rows(&gy, ho, wo * shape.c_out), in_place(&source));
        let stage = Reading { map: &source, plain: plain.as_deref() };
        match bias {
            None => conv_weight_gradient(&shape, &stage, &read, gradients.parameter(parameter)),
            Some(bias) => {
                // rows of this gradient are read once: they are summed while they are in the cache
                let bands = Bands::default();
                let read_and_sum = |n: usize, row: usize, out: &mut [f32]| {
                    read.row(n, row, out);
                    let mut one = vec![0.; shape.c_out];
                    sncn_kernels::rows::sums(Kernels::current(), out, &mut one);
                    bands.add(n, row, one, Vec::new());
                };
                conv_weight_gradient(&shape, &stage, &read_and_sum, gradients.parameter(parameter));
                gradients.add_parameter(bias, bands.channels(shape.c_out));
            }
        }
        done("convolution: weight gradient");
        if to_source {
            let mut dx = Pooled::take(n * h * w * c);
            let weight = PackedWeight::new(&shape, Direction::InputGradient, &weight.part(0..weight.len()));
            if source.has_activation() {
                let (bands, centres) = (Bands::default(), source.centres());
                let finish = |n: usize, rows: std::ops::Range<usize>, dx: &mut [f32]| {
                    let (mut one, mut two) = (vec![0.; c], vec![0.; c]);
                    source.activation_backward(n, rows.start * w, dx, &centres, &mut one, &mut two);
                    bands.add(n, rows.start, one, two);
                };
                conv_input_gradient(&shape, &weight, &read, &finish, &mut dx);
                gradients.give_summed(source.slot, Values::Own(dx), Some(bands.sums(n, c)));
            } else {
                conv_input_gradient(&shape, &weight, &read, &no_finish, &mut dx);
                gradients.give(source.slot, Values::Own(dx));
            }
        }
        drop(gy);
        if let Some(other) = other {
            gradients.give(other, gradient);
        }
        done("convolution: input gradient");
    });
    Ok(ys)
}

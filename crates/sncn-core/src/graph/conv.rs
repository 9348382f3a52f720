//! Convolution of a recorded map: pending norms are applied as it reads, a second map is added and statistics are gathered
//! as it writes, and a bias stays pending; backward, the activation's slope and the sums that norms need join the writing of the
//! gradient, the bias's sums the reading of what comes back.

use super::buffer::{Buffer, Values};
use super::feature_map::{FeatureMap, Form};
use super::gather::{Bands, Gather};
use super::map::Map;
use super::observe::done;
use super::recording::Recording;
use crate::ops::with_values;
use crate::ops::{self, Conv, conv_shape};
use candle_core::{Result, Tensor, bail};
use sncn_kernels::fused::{Direction, PackedWeight, conv_forward, conv_input_gradient, conv_weight_gradient, keep};

impl FeatureMap {
    /// Convolution without bias; `weight` is (O, C / groups, kh, kw).
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn conv(&self, weight: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus::default())
    }

    /// Convolution with a bias (O).
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn conv_bias(&self, weight: &Tensor, bias: &Tensor, conv: &Conv) -> Result<Self> {
        self.conv_plus(weight, conv, Plus { bias: Some(bias), map: None })
    }

    /// The convolution of this map plus `other`, as one pass where both are recorded; both must belong to one recording.
    ///
    /// # Errors
    /// Where shapes do not fit, or the maps belong to two recordings.
    pub fn conv_add(&self, weight: &Tensor, conv: &Conv, other: &Self) -> Result<Self> {
        match (&self.0, &other.0) {
            (Form::Map(recording, own), Form::Map(theirs, other))
                if recording.is(theirs) && own.has_activation() && !other.has_activation() =>
            {
                self.conv_plus(weight, conv, Plus { bias: None, map: Some(other) })
            }
            _ => self.conv(weight, conv)?.add(other),
        }
    }

    fn conv_plus(&self, weight: &Tensor, settings: &Conv, plus: Plus<'_>) -> Result<Self> {
        let Form::Tensor(xs, precision) = &self.0 else {
            return self.reading(|xs| Ok(xs.clone()), |recording, map| conv(recording, map, weight, settings, plus));
        };
        Ok(Self(Form::Tensor(ops::conv2d_rounded(xs, weight, plus.bias, settings, *precision)?, *precision)))
    }
}

/// What is added to a convolution.
#[derive(Clone, Copy, Default)]
struct Plus<'a> {
    /// For every channel.
    bias: Option<&'a Tensor>,
    map: Option<&'a Map>,
}

/// y = weight ∗ source (+ a bias) (+ another map), with the statistics of y.
fn conv(recording: &Recording, source: &Map, weight: &Tensor, conv: &Conv, plus: Plus<'_>) -> Result<Map> {
    let other = plus.map;
    let (n, h, w, c) = source.dims;
    let shape = conv_shape((n, h, w, c), weight, conv, (conv.padding, conv.padding))?;
    let (ho, wo) = shape.output();
    let dims = (n, ho, wo, shape.c_out);
    if other.is_some_and(|other| other.dims != dims) {
        bail!("a map of shape {:?} is added to a convolution's {dims:?}", other.map(|other| other.dims))
    }
    if let Some(bias) = plus.bias
        && bias.dims() != [shape.c_out]
    {
        bail!("a bias of shape {:?} for a convolution to {} channels", bias.dims(), shape.c_out)
    }
    let weight = weight.contiguous()?;
    let mut data = Buffer::take(n * ho * wo * shape.c_out);
    let gather = Gather::default();
    let mode = recording.mode();
    with_values(&weight, |weight| {
        let stage = |n: usize, row: usize, out: &mut [f32]| source.read(n, row * w, out);
        let finish = |n: usize, rows: std::ops::Range<usize>, ys: &mut [f32]| {
            if let Some(other) = other {
                other.add_to(n, rows.start * wo, ys);
            }
            if !mode.bare {
                gather.add(n, rows.start, ys, shape.c_out);
            }
        };
        let packed = match mode.bf16 {
            true => PackedWeight::bf16(&shape, weight),
            false => PackedWeight::new(&shape, Direction::Forward, weight),
        };
        conv_forward(&shape, &packed, &stage, &finish, &mut data);
    })?;
    let ys = Map::new(recording, dims, data);
    let mut ys = if mode.bare { ys } else { ys.with_moments(gather.moments(n, shape.c_out)) };
    if let Some(bias) = plus.bias {
        let biases = with_values(&bias.contiguous()?, |bias| bias.repeat(n))?;
        // its gradient is that of the values before it
        ys = ys.viewed(ys.slot, vec![1.; biases.len()], biases);
    }
    done("convolution: forward");
    let (parameter, other) = (recording.parameter(&weight), other.map(|other| other.slot));
    let bias = plus.bias.map(|bias| recording.parameter(bias));
    let weight = Values::Tensor(weight);
    let (slot, to_source, source) = (ys.slot, recording.wants(source.slot), source.clone());
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let read = |n: usize, row: usize, out: &mut [f32]| {
            let at = (n * ho + row) * wo * shape.c_out;
            out.copy_from_slice(&gradient.part(at..at + out.len()));
        };
        let stage = |n: usize, row: usize, out: &mut [f32]| source.read(n, row * w, out);
        match bias {
            None => conv_weight_gradient(&shape, &stage, &read, gradients.parameter(parameter)),
            Some(bias) => {
                // rows of this gradient are staged once: they are summed while they are in the cache
                let bands = Bands::default();
                let read_and_sum = |n: usize, row: usize, out: &mut [f32]| {
                    read(n, row, out);
                    let mut one = vec![0.; shape.c_out];
                    sncn_kernels::rows::sums(out, &mut one);
                    bands.add(n, row, one, Vec::new());
                };
                conv_weight_gradient(&shape, &stage, &read_and_sum, gradients.parameter(parameter));
                gradients.add_parameter(bias, bands.channels(shape.c_out));
            }
        }
        done("convolution: weight gradient");
        if to_source {
            let mut dx = Buffer::take(n * h * w * c);
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
                conv_input_gradient(&shape, &weight, &read, &keep, &mut dx);
                gradients.give(source.slot, Values::Own(dx));
            }
        }
        if let Some(other) = other {
            gradients.give(other, gradient);
        }
        done("convolution: input gradient");
    });
    Ok(ys)
}

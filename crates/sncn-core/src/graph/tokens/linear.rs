//! Linear layers of token vectors: computed as a 1 × 1 convolution over a single column, whose kernels they share.

use super::token_map::{Rows, TokenMap};
use crate::graph::observe::done;
use crate::graph::pooled::{Pooled, Values};
use crate::graph::recording::Recording;
use crate::ops;
use crate::ops::with_values;
use candle_core::{Result, Tensor, bail};
use sncn_kernels::conv::ConvShape;
use sncn_kernels::fused::{
    Direction, PackedWeight, conv_forward, conv_input_gradient, conv_weight_gradient, copy_rows, no_finish,
};
use sncn_kernels::linear::column_sums;
use std::ops::Range;

impl TokenMap {
    /// Computes x·Wᵀ + b with `weight` (out, in) and `bias` (out).
    ///
    /// # Errors
    /// Returns an error where weight or bias has another shape.
    pub fn linear(&self, weight: &Tensor, bias: &Tensor) -> Result<Self> {
        self.either(|xs| ops::linear(xs, weight, Some(bias)), |recording, xs| linear(recording, xs, weight, bias))
    }
}

fn linear(recording: &Recording, xs: &Rows, weight: &Tensor, bias: &Tensor) -> Result<Rows> {
    let (rows, (c_out, c_in)) = (xs.rows(), weight.dims2()?);
    if c_in != xs.width || bias.dims() != [c_out] {
        bail!("linear: token vectors of {} channels, weight {:?}, bias {:?}", xs.width, weight.dims(), bias.dims())
    }
    let (kh, kw, stride, padding, dilation, groups) = (1, 1, 1, (0, 0), 1, 1);
    let shape = ConvShape { n: 1, h: rows, w: 1, c_in, c_out, kh, kw, stride, padding, extra: (0, 0), dilation, groups };
    let (weight, bias) = (weight.contiguous()?, bias.contiguous()?);
    let mut data = Pooled::take(rows * c_out);
    let packed = with_values(&weight, |values| recording.packed(&weight, values, &shape))?;
    with_values(&bias, |bias| {
        let finish = |_: usize, _: Range<usize>, ys: &mut [f32]| {
            ys.chunks_exact_mut(c_out).for_each(|ys| ys.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
        };
        let values = xs.data.part(0..xs.data.len());
        conv_forward(&shape, &packed, &copy_rows(&values, rows, c_in), &finish, &mut data);
    })?;
    let ys = Rows::new(recording, data, c_out);
    let (slot, xs, of) = (ys.slot, xs.clone(), (recording.parameter(&weight), recording.parameter(&bias)));
    let (weight, wanted) = (Values::Tensor(weight), recording.wants(xs.slot));
    done("linear: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let (values, gy) = (xs.data.part(0..xs.data.len()), gradient.part(0..rows * c_out));
        let read = copy_rows(&gy, rows, c_out);
        conv_weight_gradient(&shape, &copy_rows(&values, rows, c_in), &read, gradients.parameter(of.0));
        column_sums(&gy, c_out, gradients.parameter(of.1));
        done("linear: weight gradient");
        if wanted {
            let packed = PackedWeight::new(&shape, Direction::InputGradient, &weight.part(0..weight.len()));
            let mut dx = Pooled::take(rows * c_in);
            conv_input_gradient(&shape, &packed, &read, &no_finish, &mut dx);
            gradients.give(xs.slot, Values::Own(dx));
        }
        done("linear: input gradient");
    });
    Ok(ys)
}

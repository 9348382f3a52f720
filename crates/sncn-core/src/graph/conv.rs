//! Convolution of a recorded map: pending norms are applied as it reads, a second map is added and statistics are gathered
//! as it writes, and a bias stays pending; backward, the curve's slope and the sums that norms need join the writing of the
//! gradient, the bias's sums the reading of what comes back.

use super::Graph;
use super::buffer::{Buffer, Values};
use super::end::with_values;
use super::map::{Gather, Map, Source, Sums, View};
use super::observe::done;
use crate::ops::{Conv, conv_shape};
use candle_core::{Result, Tensor, bail};
use sncn_kernels::fused::{Direction, PackedWeight, conv_forward, conv_input_gradient, conv_weight_gradient};
use std::sync::{Mutex, PoisonError};

/// Instance and first row of a band, with Σ G and Σ G·(x − m) over it.
type Band = (usize, usize, Vec<f64>, Vec<f64>);

/// The bands of a gradient, put together in order.
struct Bands(Mutex<Vec<Band>>);

impl Bands {
    /// Σ G a channel.
    fn channels(self, c: usize) -> Vec<f64> {
        let mut bands = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        bands.sort_unstable_by_key(|band| (band.0, band.1));
        let mut sums = vec![0.; c];
        bands.iter().for_each(|(_, _, one, _)| sums.iter_mut().zip(one).for_each(|(sum, one)| *sum += one));
        sums
    }

    fn sums(self, (n, _, _, c): (usize, usize, usize, usize)) -> Sums {
        let mut bands = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        bands.sort_unstable_by_key(|band| (band.0, band.1));
        let mut sums = Sums { one: vec![0.; n * c], two: vec![0.; n * c] };
        for (n, _, one, two) in &bands {
            let at = n * c..(n + 1) * c;
            sums.one[at.clone()].iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
            sums.two[at].iter_mut().zip(two).for_each(|(sum, two)| *sum += two);
        }
        sums
    }
}

/// What is added to a convolution.
#[derive(Clone, Copy, Default)]
pub(super) struct Plus<'a> {
    /// For every channel.
    pub(super) bias: Option<&'a Tensor>,
    pub(super) map: Option<&'a Map>,
}

/// y = weight ∗ source (+ a bias) (+ another map), with the statistics of y.
pub(super) fn conv(graph: &Graph, source: Source, weight: &Tensor, conv: &Conv, plus: Plus<'_>) -> Result<Map> {
    let other = plus.map;
    let (n, h, w, c) = source.map().dims;
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
    let (bare, bf16) = {
        let recorder = graph.0.borrow();
        (recorder.bare, recorder.bf16)
    };
    with_values(&weight, |weight| {
        let stage = |n: usize, row: usize, out: &mut [f32]| source.read(n, row * w, out);
        let finish = |n: usize, rows: std::ops::Range<usize>, ys: &mut [f32]| {
            if let Some(other) = other {
                other.add_to(n, rows.start * wo, ys);
            }
            if !bare {
                gather.add(n, rows.start, ys, shape.c_out);
            }
        };
        let packed = match bf16 {
            true => PackedWeight::bf16(&shape, weight),
            false => PackedWeight::new(&shape, Direction::Forward, weight),
        };
        conv_forward(&shape, &packed, &stage, &finish, &mut data);
    })?;
    let ys = Map::new(graph, dims, data);
    let mut ys = if bare { ys } else { ys.with_table(gather.table(dims)) };
    if let Some(bias) = plus.bias {
        let shift = with_values(&bias.contiguous()?, |bias| bias.repeat(n))?;
        // its gradient is that of the values before it
        ys = ys.under(ys.slot, View { scale: vec![1.; shift.len()], shift });
    }
    done("convolution: forward");
    let (parameter, other) = (graph.parameter(&weight), other.map(|other| other.slot));
    let bias = plus.bias.map(|bias| graph.parameter(bias));
    let weight = Values::Tensor(weight);
    let (slot, to_source) = (ys.slot, graph.wants(&source));
    graph.record(move |gradients| {
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
                let bands = Bands(Mutex::default());
                let read_and_sum = |n: usize, row: usize, out: &mut [f32]| {
                    read(n, row, out);
                    let mut one = vec![0.; shape.c_out];
                    sncn_kernels::rows::sums(out, &mut one);
                    bands.0.lock().unwrap_or_else(PoisonError::into_inner).push((n, row, one, Vec::new()));
                };
                conv_weight_gradient(&shape, &stage, &read_and_sum, gradients.parameter(parameter));
                gradients.add_parameter(bias, bands.channels(shape.c_out));
            }
        }
        done("convolution: weight gradient");
        if to_source {
            let mut dx = Buffer::take(n * h * w * c);
            let weight = PackedWeight::new(&shape, Direction::InputGradient, &weight.part(0..weight.len()));
            match &source {
                Source::Map(map) => {
                    conv_input_gradient(&shape, &weight, &read, &|_, _, _: &mut [f32]| {}, &mut dx);
                    gradients.give(map.slot, Values::Own(dx));
                }
                Source::Activation(activation) => {
                    let (map, bands) = (&activation.map, Bands(Mutex::default()));
                    let centres = map.centres();
                    let finish = |n: usize, rows: std::ops::Range<usize>, dx: &mut [f32]| {
                        activation.unbend(n, rows.start * w, dx);
                        let (mut one, mut two) = (vec![0.; c], vec![0.; c]);
                        let xs = map.positions_from(n, rows.start * w, dx.len());
                        sncn_kernels::rows::product_sums(dx, &xs, map.row(&centres, n), &mut one, &mut two);
                        bands.0.lock().unwrap_or_else(PoisonError::into_inner).push((n, rows.start, one, two));
                    };
                    conv_input_gradient(&shape, &weight, &read, &finish, &mut dx);
                    activation.give_unbent(gradients, bands.sums(map.dims), dx);
                }
            }
        }
        if let Some(other) = other {
            gradients.give(other, gradient);
        }
        done("convolution: input gradient");
    });
    Ok(ys)
}

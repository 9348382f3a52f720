//! LayerNorm of token vectors (Ba et al. 2016): over the channels of each.

use super::super::observe::done;
use super::super::{Graph, buffer::Buffer, buffer::Values, end::with_values};
use super::{Form, Rows, TokenMap};
use crate::layer::{Layer, LayerNorm};
use crate::pass::Pass;
use candle_core::{Result, bail};
use sncn_kernels::layer_norm::{layer_norm_backward, layer_norm_forward};
use sncn_kernels::simd::Form as Kernels;

impl TokenMap {
    /// LayerNorm.
    ///
    /// # Errors
    /// Where the channels do not fit.
    pub fn layer_norm(&self, norm: &LayerNorm) -> Result<Self> {
        Ok(Self(match &self.0 {
            // each token an instance of one position; the pass of a layer with no state
            Form::Tensor(xs) => Form::Tensor(norm.forward(xs, &Pass::eval())?),
            Form::Rows(graph, xs) => Form::Rows(graph.clone(), layer_norm(graph, xs, norm)?),
        }))
    }
}

fn layer_norm(graph: &Graph, xs: &Rows, norm: &LayerNorm) -> Result<Rows> {
    let (weight, bias, eps) = norm.parts();
    if weight.dims() != [xs.width] {
        bail!("layer norm of {:?} channels on vectors of {}", weight.dims(), xs.width)
    }
    let (weight, bias, rows) = (weight.contiguous()?, bias.contiguous()?, xs.rows());
    let (mut data, mut mean, mut inverse) = (Buffer::take(xs.data.len()), vec![0.; rows], vec![0.; rows]);
    with_values(&weight, |gamma| {
        with_values(&bias, |beta| {
            let xs = xs.data.part(0..data.len());
            layer_norm_forward(Kernels::current(), &xs, gamma, beta, eps, &mut data, &mut mean, &mut inverse);
        })
    })??;
    let ys = Rows::new(graph, data, xs.width);
    let (slot, xs, of) = (ys.slot, xs.clone(), (graph.parameter(&weight), graph.parameter(&bias)));
    let weight = Values::Tensor(weight);
    done("layer norm: forward");
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let len = xs.data.len();
        let (mut dx, mut dgamma, mut dbeta) = (Buffer::take(len), vec![0.; xs.width], vec![0.; xs.width]);
        let (x, gamma, gy) = (xs.data.part(0..len), weight.part(0..xs.width), gradient.part(0..len));
        layer_norm_backward(Kernels::current(), &x, &gamma, &mean, &inverse, &gy, &mut dx, &mut dgamma, &mut dbeta);
        gradients.parameter(of.0).copy_from_slice(&dgamma);
        gradients.parameter(of.1).copy_from_slice(&dbeta);
        gradients.give(xs.slot, Values::Own(dx));
        done("layer norm: backward");
    });
    Ok(ys)
}

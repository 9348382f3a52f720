//! Layer normalisation (Ba et al. 2016): over the channels of every position, with the biased variance.

use super::base::Layer;
use super::context::BuildContext;
use crate::graph::{Dims, FeatureMap, Operation, TokenMap};
use crate::ops::with_values;
use crate::packing::Packing;
use crate::pass::Pass;
use crate::trace;
use candle_core::{D, Result, Tensor, bail};
use candle_nn::Init;
use sncn_kernels::layer_norm::{layer_norm_backward, layer_norm_forward};
use sncn_kernels::simd::Form;

/// Layer normalisation over the channels of every position.
#[derive(Clone)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    /// Builds the layer; its variables have PyTorch's names, `weight` and `bias`.
    ///
    /// # Errors
    /// Returns an error where one of them exists with another shape.
    pub fn new(cx: &BuildContext, eps: f64) -> Result<Self> {
        let weight = cx.vb.get_with_hints(cx.channels, "weight", Init::Const(1.))?;
        let bias = cx.vb.get_with_hints(cx.channels, "bias", Init::Const(0.))?;
        Ok(Self { weight, bias, eps })
    }
}

impl Layer for LayerNorm {
    fn on_map(&self, xs: &FeatureMap, _: &Pass) -> Result<FeatureMap> {
        xs.apply_operation(self.clone())
    }

    fn on_sequences(&self, xs: &TokenMap, _: &Packing, _: &Pass) -> Result<TokenMap> {
        xs.apply_operation(self.clone())
    }
}

impl Operation for LayerNorm {
    /// The mean and 1/√(var + eps) of every position, and the weight.
    type Saved = (Vec<f32>, Vec<f32>, Vec<f32>);

    fn name(&self) -> &'static str {
        "LayerNorm"
    }

    fn parameters(&self) -> Vec<Tensor> {
        vec![self.weight.clone(), self.bias.clone()]
    }

    fn output(&self, dims: Dims) -> Result<Dims> {
        match self.weight.dims() == [dims.3] {
            true => Ok(dims),
            false => bail!("LayerNorm for {:?} channels, on a map of shape {dims:?}", self.weight.dims()),
        }
    }

    fn forward(&self, xs: &[f32], (n, h, w, _): Dims, ys: &mut [f32]) -> Result<Self::Saved> {
        let values = |tensor: &Tensor| with_values(&tensor.contiguous()?, <[f32]>::to_vec);
        let (weight, bias) = (values(&self.weight)?, values(&self.bias)?);
        let (mut mean, mut inverse) = (vec![0.; n * h * w], vec![0.; n * h * w]);
        layer_norm_forward(Form::current(), xs, &weight, &bias, self.eps, ys, &mut mean, &mut inverse);
        Ok((mean, inverse, weight))
    }

    fn backward(
        &self,
        (mean, inverse, weight): &Self::Saved,
        xs: &[f32],
        _: Dims,
        gy: &[f32],
        gx: &mut [f32],
        parameters: &mut [Vec<f32>],
    ) {
        let [of_weight, of_bias] = parameters else { return };
        layer_norm_backward(Form::current(), xs, weight, mean, inverse, gy, gx, of_weight, of_bias);
    }

    fn reference(&self, xs: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.weight.to_dtype(xs.dtype())?, self.bias.to_dtype(xs.dtype())?);
        let centred = xs.broadcast_sub(&xs.mean_keepdim(D::Minus1)?)?;
        let std = (centred.sqr()?.mean_keepdim(D::Minus1)? + self.eps)?.sqrt()?;
        centred.broadcast_div(&std)?.broadcast_mul(&weight)?.broadcast_add(&bias)
    }

    fn traced(&self) -> Option<trace::Operation> {
        Some(trace::Operation::LayerNorm { weight: self.weight.clone(), bias: self.bias.clone(), eps: self.eps })
    }
}

//! The parts that backbones share: a convolution with its weight, the shortcut of residual blocks, the classifier.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use sncn_core::layer::{BatchNorm, Place};
use sncn_core::ops::{self, Conv};
use sncn_core::{FeatureMap, Pass};

/// Images that an evaluation pass takes at a time, so that its maps stay in the cache.
const CHUNK: usize = 32;

/// Runs `forward` on the batch; in evaluation, where images do not depend on each other, on a few images at a time.
pub(super) fn in_chunks(xs: &Tensor, pass: &Pass, forward: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let n = xs.dim(0)?;
    if pass.train || n <= CHUNK {
        return forward(xs);
    }
    let chunks = (0..n).step_by(CHUNK).map(|start| forward(&xs.narrow(0, start, CHUNK.min(n - start))?));
    Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)
}

/// A convolution's weight (O, I / groups, k, k), drawn from N(0, 2/(k·k·O)), and its bias where wanted.
pub(super) struct ConvLayer {
    pub(super) weight: Tensor,
    bias: Option<Tensor>,
    pub(super) conv: Conv,
}

impl ConvLayer {
    pub(super) fn new(vb: VarBuilder, from: usize, to: usize, kernel: usize, bias: bool, conv: Conv) -> Result<Self> {
        let stdev = (2. / (kernel * kernel * to) as f64).sqrt();
        let weight = vb.get_with_hints((to, from / conv.groups, kernel, kernel), "weight", Init::Randn { mean: 0., stdev })?;
        let bias = if bias { Some(vb.get_with_hints(to, "bias", Init::Const(0.))?) } else { None };
        Ok(Self { weight, bias, conv })
    }

    /// k×k without bias, padded so that only the stride changes the map's size.
    pub(super) fn same(vb: VarBuilder, from: usize, to: usize, kernel: usize, stride: usize) -> Result<Self> {
        Self::new(vb, from, to, kernel, false, Conv { stride, padding: kernel / 2, ..Conv::default() })
    }

    /// On a map inside a network.
    pub(super) fn on_map(&self, xs: &FeatureMap) -> Result<FeatureMap> {
        match &self.bias {
            Some(bias) => xs.conv_bias(&self.weight, bias, &self.conv),
            None => xs.conv(&self.weight, &self.conv),
        }
    }
}

/// The shortcut of a residual block whose map changes size or width: 1×1 convolution and norm, named `downsample.0` and `.1`.
pub(super) struct Downsample {
    conv: ConvLayer,
    norm: BatchNorm,
}

impl Downsample {
    /// Nothing where the block keeps size and width.
    pub(super) fn new(place: &Place, from: usize, to: usize, stride: usize) -> Result<Option<Self>> {
        if from == to && stride == 1 {
            return Ok(None);
        }
        let vb = place.vb.pp("downsample");
        let conv = ConvLayer::same(vb.pp(0), from, to, 1, stride)?;
        Ok(Some(Self { conv, norm: BatchNorm::new(&place.at(to, vb.pp(1)))? }))
    }

    pub(super) fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.conv.on_map(xs)?.norm(&self.norm, pass)
    }
}

/// The classifier: weights uniform in ±1/√from, bias 0.
pub(super) struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    pub(super) fn new(vb: VarBuilder, from: usize, classes: usize) -> Result<Self> {
        let bound = 1. / (from as f64).sqrt();
        let weight = vb.get_with_hints((classes, from), "weight", Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, bias: vb.get_with_hints(classes, "bias", Init::Const(0.))? })
    }

    pub(super) fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::linear(xs, &self.weight, Some(&self.bias))
    }
}

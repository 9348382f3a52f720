//! Blocks that networks are made of: convolutions, the shortcut of residual blocks, classifiers, evaluation in chunks.

use crate::graph::FeatureMap;
use crate::layer::{BatchNorm, BuildContext, Layer};
use crate::ops::{self, Conv};
use crate::pass::Pass;
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A convolution's weight (O, I / groups, k, k), drawn from N(0, 2/(k·k·O)), and its bias where wanted.
pub struct ConvLayer {
    weight: Tensor,
    bias: Option<Tensor>,
    conv: Conv,
}

impl ConvLayer {
    /// k×k from `from` to `to` channels, with PyTorch's names.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn new(vb: VarBuilder, from: usize, to: usize, kernel: usize, bias: bool, conv: Conv) -> Result<Self> {
        let stdev = (2. / (kernel * kernel * to) as f64).sqrt();
        let weight = vb.get_with_hints((to, from / conv.groups, kernel, kernel), "weight", Init::Randn { mean: 0., stdev })?;
        let bias = if bias { Some(vb.get_with_hints(to, "bias", Init::Const(0.))?) } else { None };
        Ok(Self { weight, bias, conv })
    }

    /// k×k without bias, padded so that only the stride changes the map's size.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn same(vb: VarBuilder, from: usize, to: usize, kernel: usize, stride: usize) -> Result<Self> {
        Self::new(vb, from, to, kernel, false, Conv { stride, padding: kernel / 2, ..Conv::default() })
    }

    /// Of a map inside a network.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn on_map(&self, xs: &FeatureMap) -> Result<FeatureMap> {
        match &self.bias {
            Some(bias) => xs.conv_bias(&self.weight, bias, &self.conv),
            None => xs.conv(&self.weight, &self.conv),
        }
    }

    /// Of a map inside a network, plus another map of the same recording, as one pass where it has no bias.
    ///
    /// # Errors
    /// Where shapes do not fit, or the maps belong to two recordings.
    pub fn on_map_add(&self, xs: &FeatureMap, other: &FeatureMap) -> Result<FeatureMap> {
        match &self.bias {
            Some(_) => self.on_map(xs)?.add(other),
            None => xs.conv_add(&self.weight, &self.conv, other),
        }
    }
}

/// The shortcut of a residual block whose map changes size or width: 1×1 convolution and norm, named `downsample.0` and `.1`.
pub struct Downsample {
    conv: ConvLayer,
    norm: BatchNorm,
}

impl Downsample {
    /// Nothing where the block keeps size and width.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn new(cx: &BuildContext, from: usize, to: usize, stride: usize) -> Result<Option<Self>> {
        if from == to && stride == 1 {
            return Ok(None);
        }
        let vb = cx.vb.pp("downsample");
        let conv = ConvLayer::same(vb.pp(0), from, to, 1, stride)?;
        Ok(Some(Self { conv, norm: BatchNorm::new(&cx.at(to, vb.pp(1)))? }))
    }

    /// Of a map inside a network.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.norm.on_map(&self.conv.on_map(xs)?, pass)
    }
}

/// The classifier: weights uniform in ±1/√from, bias 0.
pub struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// From `from` channels to scores of `classes`, with PyTorch's names.
    ///
    /// # Errors
    /// Where a variable exists with another shape.
    pub fn new(vb: VarBuilder, from: usize, classes: usize) -> Result<Self> {
        let bound = 1. / (from as f64).sqrt();
        let weight = vb.get_with_hints((classes, from), "weight", Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, bias: vb.get_with_hints(classes, "bias", Init::Const(0.))? })
    }

    /// Scores (N, classes) of features (N, C).
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::linear(xs, &self.weight, Some(&self.bias))
    }
}

/// Images that an evaluation pass takes at a time, so that its maps stay in the cache.
const CHUNK: usize = 32;

/// Runs `forward` on a batch (N, …); in evaluation, where instances do not depend on each other, on a few of them at a time.
///
/// # Errors
/// As `forward`.
pub fn in_chunks(xs: &Tensor, pass: &Pass, forward: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let n = xs.dim(0)?;
    if pass.train || n <= CHUNK {
        return forward(xs);
    }
    let chunks = (0..n).step_by(CHUNK).map(|start| forward(&xs.narrow(0, start, CHUNK.min(n - start))?));
    Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)
}

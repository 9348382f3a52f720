//! Parts of networks: convolutions, the shortcut of residual blocks, classifier heads, evaluation in chunks.

use crate::graph::FeatureMap;
use crate::layer::{BuildContext, Layers, Norm, Place};
use crate::ops::{self, Conv};
use crate::pass::Pass;
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A k×k convolution with weight (O, I / groups, k, k), initialised from N(0, 2/(k·k·O)) (He et al. 2015, fan out), and an optional
/// bias, initialised with 0.
pub struct ConvLayer {
    weight: Tensor,
    bias: Option<Tensor>,
    conv: Conv,
}

impl ConvLayer {
    /// Builds a convolution from `from` to `to` channels. Its variables have PyTorch's names, `weight` and `bias`.
    ///
    /// # Errors
    /// Returns an error where one of them exists with another shape.
    pub fn new(vb: VarBuilder, from: usize, to: usize, kernel: usize, bias: bool, conv: Conv) -> Result<Self> {
        let stdev = (2. / (kernel * kernel * to) as f64).sqrt();
        let weight = vb.get_with_hints((to, from / conv.groups, kernel, kernel), "weight", Init::Randn { mean: 0., stdev })?;
        let bias = if bias { Some(vb.get_with_hints(to, "bias", Init::Const(0.))?) } else { None };
        Ok(Self { weight, bias, conv })
    }

    /// Builds a convolution without bias with padding k / 2, so that for odd k only the stride changes the map's size.
    ///
    /// # Errors
    /// As [`ConvLayer::new`].
    pub fn same(vb: VarBuilder, from: usize, to: usize, kernel: usize, stride: usize) -> Result<Self> {
        Self::new(vb, from, to, kernel, false, Conv { stride, padding: kernel / 2, ..Conv::default() })
    }

    /// Builds a convolution without bias, padded as [`Conv::same`] says.
    ///
    /// # Errors
    /// As [`ConvLayer::new`].
    pub fn padded(vb: VarBuilder, from: usize, to: usize, kernel: usize, stride: usize) -> Result<Self> {
        Self::new(vb, from, to, kernel, false, Conv { stride, same: true, ..Conv::default() })
    }

    /// Builds a depthwise convolution without bias: one channel a group, padded as [`Conv::same`] says. The weight is initialised from
    /// N(0, 2/(k·k)), since a group's fan out is k·k.
    ///
    /// # Errors
    /// As [`ConvLayer::new`].
    pub fn depthwise(vb: VarBuilder, channels: usize, kernel: usize, stride: usize) -> Result<Self> {
        let stdev = (2. / (kernel * kernel) as f64).sqrt();
        let weight = vb.get_with_hints((channels, 1, kernel, kernel), "weight", Init::Randn { mean: 0., stdev })?;
        Ok(Self { weight, bias: None, conv: Conv { stride, same: true, groups: channels, ..Conv::default() } })
    }

    /// Applies the convolution to a map.
    ///
    /// # Errors
    /// Returns an error where the map has another number of channels, or is smaller than the kernel.
    pub fn on_map(&self, xs: &FeatureMap) -> Result<FeatureMap> {
        match &self.bias {
            Some(bias) => xs.conv_bias(&self.weight, bias, &self.conv),
            None => xs.conv(&self.weight, &self.conv),
        }
    }

    /// Applies the convolution and adds `other`, in a single pass over memory where there is no bias.
    ///
    /// # Errors
    /// As [`ConvLayer::on_map`], and where `other` has another shape than the result or belongs to another recording.
    pub fn on_map_add(&self, xs: &FeatureMap, other: &FeatureMap) -> Result<FeatureMap> {
        match &self.bias {
            Some(_) => self.on_map(xs)?.add(other),
            None => xs.conv_add(&self.weight, &self.conv, other),
        }
    }
}

/// The shortcut of a residual block that changes the map's size or channels: a 1×1 convolution and BatchNorm, with torchvision's
/// names `downsample.0` and `downsample.1`.
pub struct Downsample {
    conv: ConvLayer,
    norm: Norm,
}

impl Downsample {
    /// Builds the shortcut; `None` where the block keeps size and channels. `layers` may have another norm in the place of BatchNorm.
    ///
    /// # Errors
    /// Returns an error where a variable exists with another shape, and that of [`Layers::norm`].
    pub fn new(cx: &BuildContext, from: usize, to: usize, stride: usize, layers: Layers<'_>) -> Result<Option<Self>> {
        if from == to && stride == 1 {
            return Ok(None);
        }
        Self::after(0, cx, (from, to, stride), layers).map(Some)
    }

    /// Builds the shortcut from `from` to `to` channels at that stride, with the names `downsample.<count>` and
    /// `downsample.<count + 1>`: for networks whose map passes so many other layers there first.
    ///
    /// # Errors
    /// As [`Downsample::new`].
    pub fn after(count: usize, cx: &BuildContext, (from, to, stride): (usize, usize, usize), layers: Layers<'_>) -> Result<Self> {
        let vb = cx.vb.pp("downsample");
        let conv = ConvLayer::same(vb.pp(count), from, to, 1, stride)?;
        Ok(Self { conv, norm: layers.batch_norm(&cx.at(to, vb.pp(count + 1)), Place::Other)? })
    }

    /// Applies the shortcut to a map.
    ///
    /// # Errors
    /// As [`ConvLayer::on_map`] and the norm.
    pub fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.norm.on_map(&self.conv.on_map(xs)?, pass)
    }
}

/// A classifier head: a linear layer whose weights are initialised uniformly in ±1/√from and whose bias with 0.
pub struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Head {
    /// Builds a head from `from` channels to `classes` logits. Its variables have PyTorch's names, `weight` and `bias`.
    ///
    /// # Errors
    /// Returns an error where one of them exists with another shape.
    pub fn new(vb: VarBuilder, from: usize, classes: usize) -> Result<Self> {
        let bound = 1. / (from as f64).sqrt();
        let weight = vb.get_with_hints((classes, from), "weight", Init::Uniform { lo: -bound, up: bound })?;
        Ok(Self { weight, bias: vb.get_with_hints(classes, "bias", Init::Const(0.))? })
    }

    /// Computes logits (N, classes) of features (N, C).
    ///
    /// # Errors
    /// Returns an error where the features have another number of channels.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        ops::linear(xs, &self.weight, Some(&self.bias))
    }
}

/// Images in a chunk of an evaluation pass: few enough that their maps stay in the cache.
pub(crate) const CHUNK: usize = 32;

/// Runs `forward` on a batch (N, …). A pass in which instances are independent runs it on chunks of 32 instances and
/// concatenates the results.
///
/// # Errors
/// Returns the error of `forward`, and an error for a scalar.
pub fn in_chunks(xs: &Tensor, pass: &Pass, forward: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let n = xs.dim(0)?;
    if pass.joins_instances() || n <= CHUNK {
        return forward(xs);
    }
    let chunks = (0..n).step_by(CHUNK).map(|start| forward(&xs.narrow(0, start, CHUNK.min(n - start))?));
    Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)
}

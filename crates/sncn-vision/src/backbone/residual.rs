//! `Residual`: the block of ResNets (He et al. 2016), basic (two 3×3 convolutions) or bottleneck (1×1, 3×3, 1×1 to four times
//! the width).
//!
//! Positions: `pre` (on the branch's input), `residual` (end of the branch, after its norm), `identity` (on the shortcut, after
//! its downsampling), `post` (after the addition; before the ReLU, in segmentation after it). Names as in torchvision:
//! `conv1.weight`, `bn1.weight`, `downsample.0.weight`.

use super::blur::blur_pool;
use candle_core::{Result, bail};
use sncn_core::block::{ConvLayer, Downsample};
use sncn_core::layer::{BuildContext, Hooks, Norm, Place};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Layers, NormConfig, Pass};

/// For each depth, the number of blocks of every stage and whether they are bottlenecks.
pub(super) const DEPTHS: [(usize, [usize; 4], bool); 4] =
    [(18, [2, 2, 2, 2], false), (34, [3, 4, 6, 3], false), (50, [3, 4, 6, 3], true), (101, [3, 4, 23, 3], true)];

/// The layers of a network whose name says its norm.
///
/// # Errors
/// Where a row says another norm.
pub(super) fn with_ibn<'a>(layers: Layers<'a>, named: Option<&'a NormConfig>) -> Result<Layers<'a>> {
    match (layers.norm, named) {
        (Some(given), Some(named)) => {
            bail!("norm is {:?}, and the backbone's name says {:?}: take one of them away", given.kind, named.kind)
        }
        (given, named) => Ok(layers.with_norm(named.or(given))),
    }
}

/// The settings of a block.
#[derive(Clone, Copy)]
pub(super) struct BlockConfig<'a> {
    pub(super) bottleneck: bool,
    /// Channels of the 3×3 convolutions.
    pub(super) width: usize,
    pub(super) stride: usize,
    /// Whether the map is blurred where its size changes ([`super::blur`]).
    pub(super) blurred: bool,
    /// Dilation of the 3×3 convolutions.
    pub(super) dilation: usize,
    /// Whether it is the last of its stage.
    pub(super) is_last: bool,
    /// Whether `post` is after the ReLU.
    pub(super) post_rectified: bool,
    pub(super) layers: Layers<'a>,
}

impl BlockConfig<'_> {
    /// Channels of the output.
    pub(super) fn channels(&self) -> usize {
        if self.bottleneck { 4 * self.width } else { self.width }
    }
}

/// A residual block.
pub(super) struct Residual {
    branch: Vec<(ConvLayer, Norm)>,
    /// The convolution whose input is blurred and halved, as is that of the shortcut.
    blurred: Option<usize>,
    downsample: Option<Downsample>,
    hooks: Hooks,
    post_rectified: bool,
}

impl Residual {
    pub(super) fn new(cx: &BuildContext, from: usize, shape: &BlockConfig) -> Result<Self> {
        let (vb, width, to, layers) = (&cx.vb, shape.width, shape.channels(), shape.layers);
        let middle = |stride| Conv { stride, padding: shape.dilation, dilation: shape.dilation, ..Conv::default() };
        let convs = match shape.bottleneck {
            true => vec![(width, 1, Conv::default()), (width, 3, middle(shape.stride)), (to, 1, Conv::default())],
            false => vec![(width, 3, middle(shape.stride)), (to, 3, middle(1))],
        };
        let (mut branch, mut before) = (Vec::new(), from);
        // as published, before the convolution after the one that has the stride otherwise
        let blurred = (shape.blurred && shape.stride == 2).then_some(if shape.bottleneck { 2 } else { 1 });
        for (number, (channels, kernel, conv)) in (1..).zip(convs) {
            let name = vb.pp(format!("conv{number}"));
            let name = if blurred == Some(number - 1) { name.pp(1) } else { name };
            let conv = if blurred.is_some() { Conv { stride: 1, ..conv } } else { conv };
            let weights = ConvLayer::new(name, before, channels, kernel, false, conv)?;
            let place = match (number, shape.bottleneck) {
                (1, true) => Place::First,
                (1, false) => Place::FirstAndMiddle,
                (2, true) => Place::Middle,
                _ => Place::Other,
            };
            branch.push((weights, layers.batch_norm(&cx.at(channels, vb.pp(format!("bn{number}"))), place)?));
            before = channels;
        }
        let end = layers.end_norm(&cx.at(to, vb.clone()), shape.is_last)?;
        let downsample = match blurred {
            Some(_) => Some(Downsample::after(1, cx, (from, to, 1), layers)?),
            None => Downsample::new(cx, from, to, shape.stride, layers)?,
        };
        let positions = [("pre", from), ("residual", to), ("identity", to), ("post", to)];
        let hooks = Hooks::of_block(layers, &positions, cx, end)?;
        Ok(Self { branch, blurred, downsample, hooks, post_rectified: shape.post_rectified })
    }

    pub(super) fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let hooks = &self.hooks;
        let mut ys = hooks.on_map("pre", xs.clone(), pass)?;
        for (index, (conv, norm)) in self.branch.iter().enumerate() {
            if index > 0 {
                ys = ys.relu()?;
            }
            if self.blurred == Some(index) {
                ys = blur_pool(&ys)?;
            }
            ys = norm.on_map(&conv.on_map(&ys)?, pass)?;
        }
        let ys = hooks.on_map("residual", ys, pass)?;
        let shortcut = if self.blurred.is_some() { blur_pool(xs)? } else { xs.clone() };
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.on_map(&shortcut, pass)?,
            None => shortcut,
        };
        let shortcut = hooks.on_map("identity", shortcut, pass)?;
        if hooks.has_end() {
            return hooks.end(ys.add(&shortcut)?, pass)?.relu();
        }
        if self.post_rectified || hooks.is_empty_at("post") {
            return hooks.on_map("post", ys.add_relu(&shortcut, !hooks.is_empty())?, pass);
        }
        hooks.on_map("post", ys.add(&shortcut)?, pass)?.relu()
    }
}

//! `Residual`: the block of ResNets (He et al. 2016), basic (two 3×3 convolutions) or bottleneck (1×1, 3×3, 1×1 to four times
//! the width).
//!
//! Positions: `pre` (on the branch's input), `residual` (end of the branch, after its norm), `identity` (on the shortcut, after
//! its downsampling), `post` (after the addition; before the ReLU, in segmentation after it). Names as in torchvision:
//! `conv1.weight`, `bn1.weight`, `downsample.0.weight`.

use candle_core::Result;
use sncn_core::block::{ConvLayer, Downsample};
use sncn_core::layer::{BatchNorm, BuildContext, GroupNorm, Hooks, Ibn, Layer};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Layers, Pass};

/// For each depth, the number of blocks of every stage and whether they are bottlenecks.
pub(super) const DEPTHS: [(usize, [usize; 4], bool); 4] =
    [(18, [2, 2, 2, 2], false), (34, [3, 4, 6, 3], false), (50, [3, 4, 6, 3], true), (101, [3, 4, 23, 3], true)];

/// The norms of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Norms {
    /// BatchNorm after every convolution.
    Batch,
    /// The first norm is IBN-a (Pan et al. 2018): InstanceNorm on half of the channels.
    IbnA,
    /// BatchNorm, and InstanceNorm after the addition, before the ReLU, as at the end of a stage of IBN-b (Pan et al. 2018). No layer is
    /// attached at `post` then.
    IbnB,
}

/// The settings of a block.
#[derive(Clone, Copy)]
pub(super) struct BlockConfig<'a> {
    pub(super) bottleneck: bool,
    /// Channels of the 3×3 convolutions.
    pub(super) width: usize,
    pub(super) stride: usize,
    /// Dilation of the 3×3 convolutions.
    pub(super) dilation: usize,
    pub(super) norms: Norms,
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
    branch: Vec<(ConvLayer, Box<dyn Layer>)>,
    /// The norm after the addition.
    last: Option<GroupNorm>,
    downsample: Option<Downsample>,
    pub(super) hooks: Hooks,
    post_rectified: bool,
}

impl Residual {
    pub(super) fn new(cx: &BuildContext, from: usize, shape: &BlockConfig) -> Result<Self> {
        let (vb, width, to) = (&cx.vb, shape.width, shape.channels());
        let middle = |stride| Conv { stride, padding: shape.dilation, dilation: shape.dilation, ..Conv::default() };
        let convs = match shape.bottleneck {
            true => vec![(width, 1, Conv::default()), (width, 3, middle(shape.stride)), (to, 1, Conv::default())],
            false => vec![(width, 3, middle(shape.stride)), (to, 3, middle(1))],
        };
        let (mut branch, mut before) = (Vec::new(), from);
        for (number, (channels, kernel, conv)) in (1..).zip(convs) {
            let weights = ConvLayer::new(vb.pp(format!("conv{number}")), before, channels, kernel, false, conv)?;
            let cx = cx.at(channels, vb.pp(format!("bn{number}")));
            let norm: Box<dyn Layer> = match shape.norms == Norms::IbnA && number == 1 {
                true => Box::new(Ibn::new(&cx)?),
                false => Box::new(BatchNorm::new(&cx)?),
            };
            branch.push((weights, norm));
            before = channels;
        }
        let is_last = shape.norms == Norms::IbnB;
        let last = if is_last { Some(GroupNorm::instance(&cx.at(to, vb.pp("IN")))?) } else { None };
        let downsample = Downsample::new(cx, from, to, shape.stride)?;
        let positions = [("pre", from), ("residual", to), ("identity", to), ("post", to)];
        let attached: Vec<_> = shape.layers.configs.iter().filter(|layer| !is_last || layer.at != "post").cloned().collect();
        let hooks = Hooks::new(shape.layers.of(&attached), &positions, &cx.at(to, vb.pp("cnsn")))?;
        Ok(Self { branch, last, downsample, hooks, post_rectified: shape.post_rectified })
    }

    pub(super) fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let hooks = &self.hooks;
        let mut ys = hooks.on_map("pre", xs.clone(), pass)?;
        for (index, (conv, norm)) in self.branch.iter().enumerate() {
            if index > 0 {
                ys = ys.relu()?;
            }
            ys = norm.on_map(&conv.on_map(&ys)?, pass)?;
        }
        let ys = hooks.on_map("residual", ys, pass)?;
        let shortcut = self.downsample.as_ref().map_or_else(|| Ok(xs.clone()), |downsample| downsample.on_map(xs, pass))?;
        let shortcut = hooks.on_map("identity", shortcut, pass)?;
        if let Some(last) = &self.last {
            return last.on_map(&ys.add(&shortcut)?, pass)?.relu();
        }
        if self.post_rectified || hooks.is_empty_at("post") {
            return hooks.on_map("post", ys.add_relu(&shortcut, !hooks.is_empty())?, pass);
        }
        hooks.on_map("post", ys.add(&shortcut)?, pass)?.relu()
    }
}

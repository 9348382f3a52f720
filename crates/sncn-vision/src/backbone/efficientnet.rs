//! EfficientNet-Lite (Tan, Le 2019, without squeeze-and-excitation and with ReLU6): `efficientnet_lite<0|1|2|3|4>`, for photographs of
//! any size from 32 × 32 pixels; the published ones are trained at 224, 240, 260, 280 and 300.
//!
//! Blocks are inverted residuals (Sandler et al. 2018): a 1×1 convolution to six times the channels, a depthwise one, and a 1×1 to few
//! channels, each with BatchNorm, the first two with ReLU6. A block that keeps size and channels has a shortcut, and stochastic depth,
//! whose rate grows with the block's number. Convolutions are padded as TensorFlow's "SAME".
//!
//! Positions: `pre` (on the branch's input), `residual` (end of the branch, after its norm), `identity` (on the shortcut, in blocks that
//! have one), `post` (end of the block). Names as published for PyTorch: `_blocks.0._depthwise_conv.weight`.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BatchNorm, BuildContext, Built, Hooks, Layer, Norm, Place, StochasticDepth};
use sncn_core::{FeatureMap, Layers, Network, Pass, ops};

/// Factors of channels and of blocks, and the rate of the dropout before the classifier, for every size.
const SIZES: [(f64, f64, f64); 5] = [(1.0, 1.0, 0.2), (1.0, 1.1, 0.2), (1.1, 1.2, 0.3), (1.2, 1.4, 0.3), (1.4, 1.8, 0.3)];

/// A stage: blocks, kernel, stride of the first block, expansion, channels out.
pub(crate) type Stage = (usize, usize, usize, usize, usize);

/// The stages of the smallest network.
pub(crate) const STAGES: [Stage; 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// Channels of the stem and of the last convolution, whatever the size.
pub(crate) const ENDS: (usize, usize) = (32, 1280);
/// The rate of stochastic depth that the block after the last would have; that of block i of n is i/n of it.
const DROPPED: f64 = 0.2;

/// `channels` times `width`, rounded to a multiple of 8, and up where it would be less than 90 %.
fn widened(channels: usize, width: f64) -> usize {
    let wanted = channels as f64 * width;
    let near = ((wanted + 4.) as usize / 8 * 8).max(8);
    if (near as f64) < 0.9 * wanted { near + 8 } else { near }
}

/// The stages of a network of this width and depth; of the first and last stage the number of blocks does not change.
fn stages(width: f64, depth: f64) -> [Stage; 7] {
    let mut stages = STAGES;
    for (i, (blocks, _, _, _, to)) in stages.iter_mut().enumerate() {
        *to = widened(*to, width);
        if i > 0 && i + 1 < STAGES.len() {
            *blocks = (*blocks as f64 * depth).ceil() as usize;
        }
    }
    stages
}

/// A convolution with the norm after it.
struct Unit(ConvLayer, Norm);

impl Unit {
    /// `conv` with the norm of the context's channels and variables.
    fn new(cx: &BuildContext, conv: ConvLayer, place: Place, layers: Layers) -> Result<Self> {
        // a share of the new of 0.01, as published
        Ok(Self(conv, layers.norm(cx, place, |cx| BatchNorm::with(cx, 1e-3, 0.01))?))
    }

    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.1.on_map(&self.0.on_map(xs)?, pass)
    }
}

/// An inverted residual block.
struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    project: Unit,
    /// That of the branch, in blocks with a shortcut.
    depth: Option<StochasticDepth>,
    hooks: Hooks,
}

/// The settings of a block.
struct BlockConfig<'a> {
    kernel: usize,
    stride: usize,
    expansion: usize,
    to: usize,
    /// Its number in the network, and that of all blocks.
    number: (usize, usize),
    /// Whether it is the last of its stage.
    is_last: bool,
    layers: Layers<'a>,
}

impl Block {
    fn new(cx: &BuildContext, from: usize, shape: &BlockConfig) -> Result<Self> {
        let (vb, &BlockConfig { kernel, stride, expansion, to, number, is_last, layers }) = (&cx.vb, shape);
        let inner = expansion * from;
        let pointwise = |name: &str, from, to| ConvLayer::same(vb.pp(name), from, to, 1, 1);
        let unit = |conv, norm: &str, channels, place| Unit::new(&cx.at(channels, vb.pp(norm)), conv, place, layers);
        let (expand, middle) = match expansion {
            1 => (None, Place::FirstAndMiddle),
            _ => (Some(unit(pointwise("_expand_conv", from, inner)?, "_bn0", inner, Place::First)?), Place::Middle),
        };
        let depthwise = ConvLayer::depthwise(vb.pp("_depthwise_conv"), inner, kernel, stride)?;
        let depthwise = unit(depthwise, "_bn1", inner, middle)?;
        let project = unit(pointwise("_project_conv", inner, to)?, "_bn2", to, Place::Other)?;
        let rate = DROPPED * number.0 as f64 / number.1 as f64;
        let shortcut = stride == 1 && from == to;
        let depth = if shortcut { Some(StochasticDepth::new(rate, number.0 as u64)?) } else { None };
        let positions = [("pre", from), ("residual", to), ("identity", to), ("post", to)];
        let attached: Vec<_> = layers.configs.iter().filter(|layer| shortcut || layer.at != "identity").cloned().collect();
        let hooks = Hooks::of_block(layers.of(&attached), &positions, cx, layers.end_norm(cx, is_last)?)?;
        Ok(Self { expand, depthwise, project, depth, hooks })
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let hooks = &self.hooks;
        let mut ys = hooks.on_map("pre", xs.clone(), pass)?;
        for unit in self.expand.iter().chain([&self.depthwise]) {
            ys = unit.on_map(&ys, pass)?.relu6()?;
        }
        ys = hooks.on_map("residual", self.project.on_map(&ys, pass)?, pass)?;
        if let Some(depth) = &self.depth {
            let shortcut = hooks.on_map("identity", xs.clone(), pass)?;
            ys = depth.on_map(&ys, pass)?.add(&shortcut)?;
        }
        hooks.end(hooks.on_map("post", ys, pass)?, pass)
    }
}

/// EfficientNet-Lite for images (N, H, W, 3); the output is (N, classes).
pub(crate) struct EfficientNet {
    stem: Unit,
    blocks: Vec<Block>,
    last: Unit,
    head: Head,
    /// Rate of the dropout before the head.
    dropout: f64,
    built: Built,
}

impl EfficientNet {
    /// Builds a network by name; `None` for names of other families.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        let size: usize = name.strip_prefix("efficientnet_lite").filter(|size| size.len() == 1)?.parse().ok()?;
        let &(width, depth, dropout) = SIZES.get(size)?;
        Some(Self::new(&stages(width, depth), dropout, blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds the stages between stem and head.
    ///
    /// # Errors
    /// If an attached layer has an unknown kind, position, stage or setting.
    fn new(stages: &[Stage], dropout: f64, blueprint: &Blueprint) -> Result<Self> {
        let layers = blueprint.layers;
        Hooks::check_stages(layers.configs, stages.len())?;
        Hooks::check(layers.configs, ["pre", "residual", "identity", "post"].into_iter())?;
        let cx = BuildContext::new(ENDS.0, blueprint.vars.builder()).of_stages(stages.len());
        let unit = |conv, norm: &str, channels, place| Unit::new(&cx.at(channels, cx.vb.pp(norm)), conv, place, layers);
        let stem = unit(ConvLayer::padded(cx.vb.pp("_conv_stem"), 3, ENDS.0, 3, 2)?, "_bn0", ENDS.0, Place::Stem)?;
        let count = stages.iter().map(|(blocks, ..)| blocks).sum();
        let (mut blocks, mut from) = (Vec::new(), ENDS.0);
        for (stage, &(repeats, kernel, stride, expansion, to)) in (1..).zip(stages) {
            for repeat in 0..repeats {
                let number = blocks.len();
                let stride = if repeat == 0 { stride } else { 1 };
                let is_last = repeat + 1 == repeats;
                let shape = BlockConfig { kernel, stride, expansion, to, number: (number, count), is_last, layers };
                let cx = cx.at(to, cx.vb.pp(format!("_blocks.{number}"))).in_stage(stage);
                blocks.push(Block::new(&cx, from, &shape)?);
                from = to;
            }
        }
        let last = unit(ConvLayer::same(cx.vb.pp("_conv_head"), from, ENDS.1, 1, 1)?, "_bn1", ENDS.1, Place::Other)?;
        let head = Head::new(cx.vb.pp("_fc"), ENDS.1, blueprint.classes)?;
        Ok(Self { stem, blocks, last, head, dropout, built: layers.built(&cx)? })
    }
}

impl Network for EfficientNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            let stem = self.stem.on_map(&xs, pass)?.relu6()?;
            let ys = self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?;
            let mut features = self.last.on_map(&ys, pass)?.relu6()?.global_avg_pool()?;
            if pass.dropout() {
                features = ops::dropout(&features, self.dropout, pass.seed().named("dropout"))?;
            }
            self.head.forward(&features)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_published_ones() {
        let of = |size: usize| {
            let (width, depth, _) = SIZES[size];
            let stages = stages(width, depth);
            (stages.map(|(blocks, ..)| blocks), stages.map(|(.., to)| to))
        };
        assert_eq!(of(0), ([1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]));
        assert_eq!(of(1), ([1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320]));
        assert_eq!(of(2), ([1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]));
        assert_eq!(of(4), ([1, 4, 4, 6, 6, 8, 1], [24, 32, 56, 112, 160, 272, 448]));
    }
}

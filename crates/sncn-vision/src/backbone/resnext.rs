//! ResNeXt (Xie et al. 2017) for 32×32 images: `resnext<depth>_<cardinality>x<width>`, depth = 9n + 2.
//!
//! Positions, as published with CrossNorm and SelfNorm: `pre` (on a block's input; a downsampling shortcut reads the result, an
//! identity shortcut does not), `residual` (end of the branch), `identity` (on the shortcut), `post` (after the last ReLU). In
//! blocks that downsample, `identity` acts on the block's input and its result is discarded: running statistics are updated,
//! but the loss does not depend on the weights of those layers, and training does not change them
//! ([`Network::unused_parameters`]). Names as published: `stage_1.0.conv_reduce.weight`.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor, bail};
use sncn_core::block::{ConvLayer, Downsample, Head, in_chunks};
use sncn_core::layer::{BuildContext, Built, Hooks, Norm, Place};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Layers, Network, Pass};

struct Block {
    reduce: (ConvLayer, Norm),
    grouped: (ConvLayer, Norm),
    expand: (ConvLayer, Norm),
    downsample: Option<Downsample>,
    hooks: Hooks,
}

/// The settings of a block.
struct BlockConfig<'a> {
    cardinality: usize,
    /// Channels between reduction and expansion, and after it.
    inner: usize,
    to: usize,
    stride: usize,
    /// Whether it is the last of its stage.
    is_last: bool,
    layers: Layers<'a>,
}

impl Block {
    fn new(cx: &BuildContext, from: usize, shape: &BlockConfig) -> Result<Self> {
        let (vb, &BlockConfig { cardinality, inner, to, stride, is_last, layers }) = (&cx.vb, shape);
        let norm = |name: &str, channels, place| layers.batch_norm(&cx.at(channels, vb.pp(name)), place);
        let reduce = (ConvLayer::same(vb.pp("conv_reduce"), from, inner, 1, 1)?, norm("bn_reduce", inner, Place::First)?);
        let conv = Conv { stride, padding: 1, groups: cardinality, ..Conv::default() };
        let grouped = (ConvLayer::new(vb.pp("conv_conv"), inner, inner, 3, false, conv)?, norm("bn", inner, Place::Middle)?);
        let expand = (ConvLayer::same(vb.pp("conv_expand"), inner, to, 1, 1)?, norm("bn_expand", to, Place::Other)?);
        let end = layers.end_norm(cx, is_last)?;
        let downsample = Downsample::new(cx, from, to, stride, layers)?;
        let positions = [("pre", from), ("residual", to), ("identity", from), ("post", to)];
        let hooks = Hooks::of_block(layers, &positions, cx, end)?;
        Ok(Self { reduce, grouped, expand, downsample, hooks })
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let hooks = &self.hooks;
        let input = hooks.on_map("pre", xs.clone(), pass)?;
        let ys = self.reduce.1.norm_relu(&self.reduce.0.on_map(&input)?, pass)?;
        let ys = self.grouped.1.norm_relu(&self.grouped.0.on_map(&ys)?, pass)?;
        let ys = hooks.on_map("residual", self.expand.1.on_map(&self.expand.0.on_map(&ys)?, pass)?, pass)?;
        let shortcut = match &self.downsample {
            Some(downsample) => {
                // as published: the result is discarded, the running statistics are updated
                hooks.on_map("identity", xs.detach(), pass)?;
                downsample.on_map(&input, pass)?
            }
            None => hooks.on_map("identity", xs.clone(), pass)?,
        };
        if hooks.has_end() {
            return hooks.end(ys.add(&shortcut)?, pass)?.relu();
        }
        hooks.on_map("post", ys.add_relu(&shortcut, !hooks.is_empty())?, pass)
    }
}

/// ResNeXt for images (N, H, W, 3); the output is (N, classes).
pub(crate) struct ResNext {
    stem: (ConvLayer, Norm),
    blocks: Vec<Block>,
    head: Head,
    built: Built,
    unused_parameters: Vec<String>,
}

impl ResNext {
    /// Builds a ResNeXt by name, such as `resnext29_4x32`; `None` for names of other families.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        let (depth, sizes) = name.strip_prefix("resnext")?.split_once('_')?;
        let (cardinality, width) = sizes.split_once('x')?;
        let (depth, cardinality, width) = (depth.parse().ok()?, cardinality.parse().ok()?, width.parse().ok()?);
        Some(Self::new(depth, cardinality, width, blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds three stages of n blocks (depth 9n + 2), with `cardinality` groups of `width`, 2·`width` and 4·`width` channels.
    ///
    /// # Errors
    /// If the depth is not of the form 9n + 2, a size is out of range, or an attached layer does not fit.
    pub(crate) fn new(depth: usize, cardinality: usize, width: usize, blueprint: &Blueprint) -> Result<Self> {
        let fits = (1..=256).contains(&cardinality) && (1..=256).contains(&width) && (11..=1000).contains(&depth);
        if !fits || !(depth - 2).is_multiple_of(9) {
            bail!(
                "backbone resnext{depth}_{cardinality}x{width}: the depth must be 9n + 2 (11, 20, 29, …), cardinality and width 1 to 256"
            )
        }
        Hooks::check_stages(blueprint.layers.configs, 3)?;
        let cx = BuildContext::new(64, blueprint.vars.builder()).of_stages(3);
        let layers = blueprint.layers;
        let stem = ConvLayer::same(cx.vb.pp("conv_1_3x3"), 3, 64, 3, 1)?;
        let stem = (stem, layers.batch_norm(&cx.at(64, cx.vb.pp("bn_1")), Place::Stem)?);
        let (mut blocks, mut unused_parameters, mut from) = (Vec::new(), Vec::new(), 64);
        let dropped = layers.configs.iter().any(|layer| layer.at == "identity");
        for stage in 1..=3 {
            let (inner, to) = (cardinality * (width << (stage - 1)), 128 << stage);
            let count = (depth - 2) / 9;
            for layer in 0..count {
                let stride = if stage > 1 && layer == 0 { 2 } else { 1 };
                let name = format!("stage_{stage}.{layer}");
                let shape = BlockConfig { cardinality, inner, to, stride, is_last: layer + 1 == count, layers };
                let block = Block::new(&cx.at(to, cx.vb.pp(&name)).in_stage(stage), from, &shape)?;
                if dropped && block.downsample.is_some() {
                    // a second layer of the same kind in a block has the position in its path
                    unused_parameters.extend(block.hooks.variable_paths("identity").map(|path| format!("{name}.cnsn.{path}.")));
                }
                blocks.push(block);
                from = to;
            }
        }
        let head = Head::new(cx.vb.pp("classifier"), from, blueprint.classes)?;
        Ok(Self { stem, blocks, head, built: layers.built(&cx)?, unused_parameters })
    }
}

impl Network for ResNext {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            // computed once: the first block reads it twice
            let stem = self.stem.1.norm_relu(&self.stem.0.on_map(&xs)?, pass)?;
            self.head.forward(&self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }

    fn unused_parameters(&self) -> &[String] {
        &self.unused_parameters
    }
}

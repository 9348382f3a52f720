//! ResNet-18 (He et al. 2016) for 32×32 images: `resnet18`, with a 3×3 stem and no pooling before the first stage.
//!
//! Positions: `pre` (on the branch's input), `residual` (end of the branch, after its norm), `identity` (on the shortcut, after
//! its downsampling), `post` (after the addition, before the rectifier). Names as in torchvision: `layer1.0.conv1.weight`.

use super::{Blueprint, ConvLayer, Downsample, Head, in_chunks};
use candle_core::{Result, Tensor};
use sncn_core::layer::{BatchNorm, Hooks, Place};
use sncn_core::{FeatureMap, LayerConfig, Network, Pass};

struct Block {
    first: (ConvLayer, BatchNorm),
    second: (ConvLayer, BatchNorm),
    downsample: Option<Downsample>,
    hooks: Hooks,
}

impl Block {
    fn new(place: &Place, from: usize, to: usize, stride: usize, layers: &[LayerConfig]) -> Result<Self> {
        let vb = &place.vb;
        let norm = |name: &str| BatchNorm::new(&place.at(to, vb.pp(name)));
        let first = (ConvLayer::same(vb.pp("conv1"), from, to, 3, stride)?, norm("bn1")?);
        let second = (ConvLayer::same(vb.pp("conv2"), to, to, 3, 1)?, norm("bn2")?);
        let downsample = Downsample::new(place, from, to, stride)?;
        let positions = [("pre", from), ("residual", to), ("identity", to), ("post", to)];
        let hooks = Hooks::new(layers, &positions, &place.at(to, vb.pp("cnsn")))?;
        Ok(Self { first, second, downsample, hooks })
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let hooks = &self.hooks;
        let ys = self.first.0.on_map(&hooks.on_map("pre", xs.clone(), pass)?)?.norm_relu(&self.first.1, pass)?;
        let ys = hooks.on_map("residual", self.second.0.on_map(&ys)?.norm(&self.second.1, pass)?, pass)?;
        let shortcut = self.downsample.as_ref().map_or_else(|| Ok(xs.clone()), |downsample| downsample.on_map(xs, pass))?;
        let shortcut = hooks.on_map("identity", shortcut, pass)?;
        if hooks.is_free("post") {
            return ys.add_relu(&shortcut, !hooks.is_empty());
        }
        hooks.on_map("post", ys.add(&shortcut)?, pass)?.relu()
    }
}

/// The network.
pub struct ResNet18 {
    stem: (ConvLayer, BatchNorm),
    blocks: Vec<Block>,
    head: Head,
    sites: usize,
    /// Whether layers hang on the blocks.
    hooked: bool,
}

impl ResNet18 {
    /// `resnet18`; `None` for other names.
    pub fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        (name == "resnet18").then(|| Self::new(blueprint).map(|network| Box::new(network) as _))
    }

    /// Four stages of two blocks, widths 64 to 512.
    ///
    /// # Errors
    /// Where a layer does not fit.
    pub fn new(blueprint: &Blueprint) -> Result<Self> {
        Hooks::check_stages(blueprint.layers, 4)?;
        let place = Place::new(64, blueprint.vars.builder());
        let stem = ConvLayer::same(place.vb.pp("conv1"), 3, 64, 3, 1)?;
        let stem = (stem, BatchNorm::new(&place.at(64, place.vb.pp("bn1")))?);
        let (mut blocks, mut from) = (Vec::new(), 64);
        for stage in 1..=4 {
            let to = 32 << stage;
            for layer in 0..2 {
                let stride = if stage > 1 && layer == 0 { 2 } else { 1 };
                let place = place.at(to, place.vb.pp(format!("layer{stage}.{layer}"))).in_stage(stage);
                blocks.push(Block::new(&place, from, to, stride, blueprint.layers)?);
                from = to;
            }
        }
        let head = Head::new(place.vb.pp("fc"), from, blueprint.classes)?;
        Ok(Self { stem, blocks, head, sites: place.sites(), hooked: !blueprint.layers.is_empty() })
    }
}

impl Network for ResNet18 {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let recordable = self.blocks.iter().all(|block| block.hooks.recordable());
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::start(xs, recordable, pass)?.gathering(pass.train || self.hooked);
            let stem = self.stem.0.on_map(&xs)?.norm_relu(&self.stem.1, pass)?;
            self.head.forward(&self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.sites
    }
}

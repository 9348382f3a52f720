//! ResNet-18 (He et al. 2016) for 32×32 images: `resnet18`, with a 3×3 stem and no pooling before the first stage.
//!
//! The positions are those of [`super::residual`]. Names as in torchvision: `layer1.0.conv1.weight`.

use super::blueprint::Blueprint;
use super::residual::{BlockConfig, Residual};
use candle_core::{Result, Tensor};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BatchNorm, BuildContext, Hooks};
use sncn_core::{FeatureMap, Network, Pass};

/// ResNet-18 for images (N, H, W, 3); the output is (N, classes).
pub struct ResNet18 {
    stem: (ConvLayer, BatchNorm),
    blocks: Vec<Residual>,
    head: Head,
    sites: usize,
    /// Whether layers are attached to the blocks.
    attached: bool,
}

impl ResNet18 {
    /// Builds `resnet18`; `None` for other names.
    pub fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        (name == "resnet18").then(|| Self::new(blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds four stages of two blocks, with widths 64 to 512.
    ///
    /// # Errors
    /// If an attached layer has an unknown kind, position, stage or setting.
    pub fn new(blueprint: &Blueprint) -> Result<Self> {
        Hooks::check_stages(blueprint.layers.configs, 4)?;
        let cx = BuildContext::new(64, blueprint.vars.builder());
        let stem = ConvLayer::same(cx.vb.pp("conv1"), 3, 64, 3, 1)?;
        let stem = (stem, BatchNorm::new(&cx.at(64, cx.vb.pp("bn1")))?);
        let (mut blocks, mut from) = (Vec::new(), 64);
        for stage in 1..=4 {
            for layer in 0..2 {
                let shape = BlockConfig {
                    bottleneck: false,
                    width: 32 << stage,
                    stride: if stage > 1 && layer == 0 { 2 } else { 1 },
                    dilation: 1,
                    ibn: false,
                    post_rectified: false,
                    layers: blueprint.layers,
                };
                let cx = cx.at(shape.width, cx.vb.pp(format!("layer{stage}.{layer}"))).in_stage(stage);
                blocks.push(Residual::new(&cx, from, &shape)?);
                from = shape.channels();
            }
        }
        let head = Head::new(cx.vb.pp("fc"), from, blueprint.classes)?;
        Ok(Self { stem, blocks, head, sites: cx.sites(), attached: !blueprint.layers.configs.is_empty() })
    }
}

impl Network for ResNet18 {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let recordable = self.blocks.iter().all(|block| block.hooks.recordable());
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, recordable, pass)?.gather_statistics(pass.train || self.attached);
            let stem = self.stem.1.norm_relu(&self.stem.0.on_map(&xs)?, pass)?;
            self.head.forward(&self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.sites
    }
}

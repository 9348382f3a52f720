//! ResNets (He et al. 2016): `resnet<18|34|50|101>` for photographs, with torchvision's stem (a 7×7 convolution and a pooling, each of
//! stride 2), and `cifar_resnet<depth>` for 32×32 images, with a 3×3 stem and no pooling before the first stage.
//!
//! `_ibn_a` makes the first norm of every block of stages 1 to 3 IBN-a; `_ibn_b` makes the stem's norm InstanceNorm and adds one after
//! the last addition of stages 1 and 2 (Pan et al. 2018). The positions are those of [`super::residual`]; blocks that end in an
//! InstanceNorm have no `post`. Names as in torchvision: `layer1.0.conv1.weight`.
//!
//! `_maxblur` blurs maps before every second position of them is taken (Zhang 2019), in the stem's pooling, which is then one of 2 × 2 at a stride of 1
//! before the blur, and in blocks; names as in its PyTorch implementation, `layer2.0.conv3.1.weight`.

use super::blueprint::Blueprint;
use super::blur::blur_pool;
use super::residual::{BlockConfig, DEPTHS, Residual, with_ibn};
use candle_core::{Result, Tensor};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BuildContext, Built, Hooks, Norm, Place};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Network, NormConfig, Pass};

/// What a name stands for.
struct Design {
    blocks: [usize; 4],
    bottleneck: bool,
    /// Whether it is for 32×32 images.
    small: bool,
    /// Whether maps are blurred before they become smaller.
    blurred: bool,
    /// The norm that its name says, `ibn_a` or `ibn_b`.
    norm: Option<NormConfig>,
}

impl Design {
    fn of(name: &str) -> Option<Self> {
        let (name, small) = name.strip_prefix("cifar_").map_or((name, false), |name| (name, true));
        let (name, norm) = ["ibn_a", "ibn_b"]
            .into_iter()
            .find_map(|ending| Some((name.strip_suffix(ending)?.strip_suffix('_')?, Some(NormConfig::new(ending)))))
            .unwrap_or((name, None));
        let (name, blurred) = name.strip_suffix("_maxblur").map_or((name, false), |name| (name, true));
        let depth: usize = name.strip_prefix("resnet")?.parse().ok()?;
        let &(_, blocks, bottleneck) = DEPTHS.iter().find(|(known, ..)| *known == depth)?;
        Some(Self { blocks, bottleneck, small, blurred, norm })
    }
}

/// A ResNet for images (N, H, W, 3); the output is (N, classes).
pub(crate) struct ResNet {
    stem: ConvLayer,
    norm: Norm,
    /// Whether a pooling follows the stem, and whether that is blurred.
    pooled: bool,
    blurred: bool,
    blocks: Vec<Residual>,
    head: Head,
    built: Built,
}

impl ResNet {
    /// Builds a network by name; `None` for names of other families.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        Some(Self::new(&Design::of(name)?, blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds four stages with widths 64 to 512.
    ///
    /// # Errors
    /// If an attached layer has an unknown kind, position, stage or setting.
    fn new(design: &Design, blueprint: &Blueprint) -> Result<Self> {
        let layers = with_ibn(blueprint.layers, design.norm.as_ref())?;
        Hooks::check_stages(layers.configs, 4)?;
        let cx = BuildContext::new(64, blueprint.vars.builder()).of_stages(4);
        let (kernel, conv) = match design.small {
            true => (3, Conv { padding: 1, ..Conv::default() }),
            false => (7, Conv { stride: 2, padding: 3, ..Conv::default() }),
        };
        let stem = ConvLayer::new(cx.vb.pp("conv1"), 3, 64, kernel, false, conv)?;
        let norm = layers.batch_norm(&cx.at(64, cx.vb.pp("bn1")), Place::Stem)?;
        let (mut blocks, mut from) = (Vec::new(), 64);
        for (stage, count) in (1..).zip(design.blocks) {
            for index in 0..count {
                let shape = BlockConfig {
                    bottleneck: design.bottleneck,
                    width: 32 << stage,
                    stride: if stage > 1 && index == 0 { 2 } else { 1 },
                    blurred: design.blurred,
                    dilation: 1,
                    is_last: index + 1 == count,
                    post_rectified: false,
                    layers,
                };
                let cx = cx.at(shape.width, cx.vb.pp(format!("layer{stage}.{index}"))).in_stage(stage);
                blocks.push(Residual::new(&cx, from, &shape)?);
                from = shape.channels();
            }
        }
        let head = Head::new(cx.vb.pp("fc"), from, blueprint.classes)?;
        Ok(Self { stem, norm, pooled: !design.small, blurred: design.blurred, blocks, head, built: layers.built(&cx)? })
    }
}

impl Network for ResNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            let xs = self.norm.norm_relu(&self.stem.on_map(&xs)?, pass)?;
            let xs = match (self.pooled, self.blurred) {
                (false, _) => xs,
                (true, false) => xs.max_pool(3, 2, 1)?,
                (true, true) => blur_pool(&xs.max_pool(2, 1, 0)?)?,
            };
            self.head.forward(&self.blocks.iter().try_fold(xs, |xs, block| block.forward(&xs, pass))?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }
}

//! Segmentation networks, by name: a dilated ResNet of output stride 8 with a head that scores every pixel (N, H, W, classes).
//!
//! `fcn_resnet50` is the published FCN (Long et al. 2015); `deeplabv3plus_…` has the head of Chen et al. 2018. Both have an
//! auxiliary head on stage 3 (Zhao et al. 2017). Stages 3 and 4 have dilation 2 and 4 instead of stride 2; the first block of a
//! stage uses the dilation of the stage before. A number after the depth is the width of the first stage, 64 by default;
//! `_ibn` makes the first norm of every block of stages 1 to 3 IBN-a (Pan et al. 2018). `post` is after a block's last
//! ReLU. Names as in torchvision: `backbone.layer1.0.conv1.weight`, `classifier.0.weight`, `aux_classifier.4.bias`.

mod head;

use super::blueprint::Blueprint;
use super::residual::{BlockConfig, DEPTHS, Residual, with_ibn};
use candle_core::{Result, Tensor, bail};
use head::{Decoder, DeepLabHead, FcnHead};
use sncn_core::block::ConvLayer;
use sncn_core::layer::{BuildContext, Built, Hooks, Norm, Place};
use sncn_core::ops::{self, Conv};
use sncn_core::{FeatureMap, Network, NormConfig, Pass};

/// The pattern of the names.
pub const NAMES: &str = "<fcn|deeplabv3plus>_resnet<18|34|50|101>[_<width>][_ibn]";

/// Dilation of every stage.
const DILATIONS: [usize; 4] = [1, 1, 2, 4];

/// Builds a segmentation network by name, such as `fcn_resnet50` or `fcn_resnet18_24_ibn`.
///
/// # Errors
/// If the name is unknown (the error gives the pattern) or an attached layer does not fit.
pub fn build(name: &str, blueprint: &Blueprint) -> Result<Box<dyn Network>> {
    match Design::of(name) {
        Some(design) => Ok(Box::new(Segmenter::new(&design, blueprint)?)),
        None => bail!("unknown segmentation network {name:?}; known: {NAMES} (for example fcn_resnet50, fcn_resnet18_24_ibn)"),
    }
}

/// What a name stands for.
struct Design {
    deeplab: bool,
    blocks: [usize; 4],
    bottleneck: bool,
    /// Channels of the first stage.
    width: usize,
    /// The norm that its name says, `ibn_a`.
    norm: Option<NormConfig>,
}

impl Design {
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.split('_').peekable();
        let deeplab = match parts.next()? {
            "fcn" => false,
            "deeplabv3plus" => true,
            _ => return None,
        };
        let depth: usize = parts.next()?.strip_prefix("resnet")?.parse().ok()?;
        let &(_, blocks, bottleneck) = DEPTHS.iter().find(|(known, ..)| *known == depth)?;
        let width = parts.next_if(|part| *part != "ibn").map_or(Some(64), |part| part.parse().ok())?;
        let norm = parts.next_if_eq(&"ibn").map(|_| NormConfig::new("ibn_a"));
        let fits = parts.next().is_none() && (4..=256).contains(&width) && width % 4 == 0;
        fits.then_some(Self { deeplab, blocks, bottleneck, width, norm })
    }
}

/// Backbone with main and auxiliary head.
struct Segmenter {
    stem: (ConvLayer, Norm),
    stages: Vec<Vec<Residual>>,
    head: Box<dyn Decoder>,
    auxiliary: FcnHead,
    classes: usize,
    built: Built,
}

impl Segmenter {
    fn new(design: &Design, blueprint: &Blueprint) -> Result<Self> {
        let layers = with_ibn(blueprint.layers, design.norm.as_ref())?;
        Hooks::check_stages(layers.configs, 4)?;
        let (width, classes) = (design.width, blueprint.classes);
        let root = BuildContext::new(width, blueprint.vars.builder()).of_stages(4);
        let vb = root.vb.pp("backbone");
        let conv = Conv { stride: 2, padding: 3, ..Conv::default() };
        let stem = ConvLayer::new(vb.pp("conv1"), 3, width, 7, false, conv)?;
        let stem = (stem, layers.batch_norm(&root.at(width, vb.pp("bn1")), Place::Stem)?);
        let (mut stages, mut from, mut dilation) = (Vec::new(), width, 1);
        let mut channels = Vec::new();
        for (stage, (&count, &own)) in (1..).zip(design.blocks.iter().zip(&DILATIONS)) {
            let mut blocks = Vec::new();
            for block in 0..count {
                let shape = BlockConfig {
                    bottleneck: design.bottleneck,
                    width: width << (stage - 1),
                    stride: if stage == 2 && block == 0 { 2 } else { 1 },
                    blurred: false,
                    dilation,
                    is_last: block + 1 == count,
                    post_rectified: true,
                    layers,
                };
                let cx = root.at(shape.width, vb.pp(format!("layer{stage}.{block}"))).in_stage(stage);
                blocks.push(Residual::new(&cx, from, &shape)?);
                (from, dilation) = (shape.channels(), own);
            }
            stages.push(blocks);
            channels.push(from);
        }
        let cx = root.at(from, root.vb.pp("classifier"));
        let head: Box<dyn Decoder> = match design.deeplab {
            true => Box::new(DeepLabHead::new(&cx, (channels[0], from), width, classes, layers)?),
            false => Box::new(FcnHead::new(&cx, from, classes, layers)?),
        };
        let auxiliary = FcnHead::new(&root.at(channels[2], root.vb.pp("aux_classifier")), channels[2], classes, layers)?;
        Ok(Self { stem, stages, head, auxiliary, classes, built: layers.built(&root)? })
    }

    /// Scores (N, H, W, classes) of the main head and, if `auxiliary`, of the auxiliary head.
    fn scores(&self, xs: &Tensor, pass: &Pass, auxiliary: bool) -> Result<(Tensor, Option<Tensor>)> {
        let (_, height, width, _) = xs.dims4()?;
        let map = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
        let mut ys = self.stem.1.norm_relu(&self.stem.0.on_map(&map)?, pass)?.max_pool(3, 2, 1)?;
        let mut outputs = Vec::new();
        for stage in &self.stages {
            ys = stage.iter().try_fold(ys, |ys, block| block.forward(&ys, pass))?;
            outputs.push(ys.clone());
        }
        let main = self.head.forward(&outputs[0], &ys, pass)?;
        // a recording has one output: the scores of both heads are concatenated
        let joined = match auxiliary {
            true => {
                let (_, h, w, _) = main.dims()?;
                let other = self.auxiliary.forward(&outputs[0], &outputs[2], pass)?;
                let same = {
                    let (_, oh, ow, _) = other.dims()?;
                    (oh, ow) == (h, w)
                };
                main.concat(&if same { other } else { other.resize_bilinear((h, w))? })?
            }
            false => main,
        }
        .to_tensor()?;
        let part = |start| ops::resize_bilinear(&joined.narrow(3, start, self.classes)?, (height, width));
        Ok((part(0)?, if auxiliary { Some(part(self.classes)?) } else { None }))
    }
}

impl Network for Segmenter {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        Ok(self.scores(xs, pass, false)?.0)
    }

    fn forward_auxiliary(&self, xs: &Tensor, pass: &Pass) -> Result<(Tensor, Option<Tensor>)> {
        self.scores(xs, pass, true)
    }

    fn sites(&self) -> usize {
        self.built.sites
    }
}

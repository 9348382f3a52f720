//! DenseNet (Huang et al. 2017) for 32×32 images: `densenet<depth>_<growth>`; `densenetb…` has bottlenecks, and
//! `densenetbc…` also transitions that halve the width.
//!
//! Positions: `conv1_pre` (before a dense layer; its result is also what is concatenated), `conv1_post` (after the first
//! convolution of a dense layer) and, with bottlenecks, `conv2_post`. Names as in the networks of the CrossNorm and
//! SelfNorm paper: `dense1.0.conv1.weight`.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor, bail};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BuildContext, Built, Hooks, Norm, Place};
use sncn_core::{FeatureMap, Layers, Network, Pass};

/// The sizes of a DenseNet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseNetConfig {
    /// The number of layers: 3n + 4, with bottlenecks 6n + 4.
    pub depth: usize,
    /// Channels that a dense layer adds.
    pub growth: usize,
    /// Whether a 1×1 convolution to 4·growth channels precedes each 3×3 convolution.
    pub bottleneck: bool,
    /// Fraction of the channels that a transition keeps, above 0 and up to 1.
    pub reduction: f64,
}

struct Dense {
    bn1: Norm,
    conv1: ConvLayer,
    second: Option<(Norm, ConvLayer)>,
    hooks: Hooks,
}

impl Dense {
    fn new(cx: &BuildContext, from: usize, config: &DenseNetConfig, is_last: bool, layers: Layers) -> Result<Self> {
        let vb = &cx.vb;
        let (growth, inner) = (config.growth, if config.bottleneck { 4 * config.growth } else { config.growth });
        let bn1 = layers.batch_norm(&cx.at(from, vb.pp("bn1")), Place::First)?;
        let conv1 = ConvLayer::same(vb.pp("conv1"), from, inner, if config.bottleneck { 1 } else { 3 }, 1)?;
        let mut positions = vec![("conv1_pre", from), ("conv1_post", inner)];
        let mut second = None;
        if config.bottleneck {
            positions.push(("conv2_post", growth));
            let bn2 = layers.batch_norm(&cx.at(inner, vb.pp("bn2")), Place::Middle)?;
            second = Some((bn2, ConvLayer::same(vb.pp("conv2"), inner, growth, 3, 1)?));
        }
        let end = layers.end_norm(&cx.at(from + growth, vb.clone()), is_last)?;
        let hooks = Hooks::of_block(layers, &positions, &cx.at(growth, vb.clone()), end)?;
        Ok(Self { bn1, conv1, second, hooks })
    }

    fn forward(&self, xs: FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let xs = self.hooks.on_map("conv1_pre", xs, pass)?;
        let mut ys = self.conv1.on_map(&self.bn1.norm_relu(&xs, pass)?)?;
        ys = self.hooks.on_map("conv1_post", ys, pass)?;
        if let Some((bn2, conv2)) = &self.second {
            ys = self.hooks.on_map("conv2_post", conv2.on_map(&bn2.norm_relu(&ys, pass)?)?, pass)?;
        }
        self.hooks.end(xs.concat(&ys)?, pass)
    }
}

struct Transition {
    bn: Norm,
    conv: ConvLayer,
}

/// DenseNet for images (N, H, W, 3); the output is (N, classes).
pub struct DenseNet {
    stem: ConvLayer,
    stages: Vec<(Vec<Dense>, Option<Transition>)>,
    bn: Norm,
    head: Head,
    built: Built,
}

impl DenseNet {
    /// Builds a DenseNet by name: `densenet40_12`, `densenetb40_12` (with bottlenecks), `densenetbc40_12` (and transitions that
    /// keep half of the channels); `None` for names of other families.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        let rest = name.strip_prefix("densenet")?;
        let sizes = rest.trim_start_matches(['b', 'c']);
        let (bottleneck, reduction) = match &rest[..rest.len() - sizes.len()] {
            "" => (false, 1.),
            "b" => (true, 1.),
            "bc" => (true, 0.5),
            _ => return None,
        };
        let (depth, growth) = sizes.split_once('_')?;
        let config = DenseNetConfig { depth: depth.parse().ok()?, growth: growth.parse().ok()?, bottleneck, reduction };
        Some(Self::new(&config, blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds three dense blocks on maps of 32, 16 and 8 pixels (for 32×32 images), with 2·growth channels before the first.
    ///
    /// # Errors
    /// If the depth does not have the form above, a size is out of range, or an attached layer does not fit.
    pub fn new(config: &DenseNetConfig, blueprint: &Blueprint) -> Result<Self> {
        let &DenseNetConfig { depth, growth, bottleneck, reduction } = config;
        let every = if bottleneck { 6 } else { 3 };
        if depth < 4 + every || !(depth - 4).is_multiple_of(every) || depth > 1000 || growth == 0 || growth > 512 {
            bail!("backbone densenet{depth}_{growth}: the depth must be {every}n + 4 (40 or 100, say), the growth 1 to 512")
        }
        if !(reduction > 0. && reduction <= 1.) {
            bail!(
                "backbone densenet{depth}_{growth}: transitions keep a fraction of {reduction}; above 0 and up to 1 is accepted"
            )
        }
        Hooks::check_stages(blueprint.layers.configs, 3)?;
        let cx = BuildContext::new(growth, blueprint.vars.builder()).of_stages(3);
        let layers = blueprint.layers;
        let mut from = 2 * growth;
        let stem = ConvLayer::same(cx.vb.pp("conv1"), 3, from, 3, 1)?;
        let mut stages = Vec::new();
        for stage in 1..=3 {
            let vb = cx.vb.pp(format!("dense{stage}"));
            let mut dense = Vec::new();
            let count = (depth - 4) / every;
            for layer in 0..count {
                let cx = cx.at(from, vb.pp(layer)).in_stage(stage);
                dense.push(Dense::new(&cx, from, config, layer + 1 == count, layers)?);
                from += growth;
            }
            let mut transition = None;
            if stage < 3 {
                let vb = cx.vb.pp(format!("trans{stage}"));
                let to = ((from as f64 * reduction).floor() as usize).max(1);
                let bn = layers.batch_norm(&cx.at(from, vb.pp("bn1")), Place::Other)?;
                transition = Some(Transition { bn, conv: ConvLayer::same(vb.pp("conv1"), from, to, 1, 1)? });
                from = to;
            }
            stages.push((dense, transition));
        }
        let bn = layers.batch_norm(&cx.at(from, cx.vb.pp("bn1")), Place::Other)?;
        let head = Head::new(cx.vb.pp("fc"), from, blueprint.classes)?;
        Ok(Self { stem, stages, bn, head, built: layers.built(&cx)? })
    }
}

impl Network for DenseNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            let mut xs = self.stem.on_map(&xs)?;
            for (dense, transition) in &self.stages {
                xs = dense.iter().try_fold(xs, |xs, dense| dense.forward(xs, pass))?;
                if let Some(Transition { bn, conv }) = transition {
                    xs = conv.on_map(&bn.norm_relu(&xs, pass)?)?.avg_pool2()?;
                }
            }
            self.head.forward(&self.bn.norm_relu(&xs, pass)?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }
}

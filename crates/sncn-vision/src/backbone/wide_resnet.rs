//! WideResNet (Zagoruyko, Komodakis 2016), pre-activation, for 32×32 images: `wrn<depth>_<width>`, depth = 6n + 4.
//!
//! `wrn<depth>_<width>_fixmatch` is the network of the FixMatch experiments in PyTorch (Sohn et al. 2020, arXiv:2001.07685): leaky ReLU of
//! slope 0.1, and running statistics that move by a thousandth a step. As in that code the first block of stages 2 and 3 reads its input
//! as it is, so that `bn1` of these two blocks follows statistics and changes nothing. Our head begins as that of the others does.
//!
//! Positions: `pre` (before a block), `residual` (end of the branch), `identity` (on the shortcut), `post` (after the
//! addition), as in the CrossNorm and SelfNorm paper. Names as in its published networks: `block1.layer.0.conv1.weight`.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor, bail};
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BatchNorm, BuildContext, Built, Hooks, Norm, Place};
use sncn_core::{FeatureMap, Layers, Network, Pass};

/// What tells the networks apart.
#[derive(Clone, Copy)]
struct Form {
    /// Slope of the activations below 0.
    slope: f64,
    /// Share of a batch's statistics in the new running ones.
    momentum: f64,
    /// Whether blocks that change the map's size read it before norm and activation.
    raw: bool,
}

impl Form {
    const USUAL: Self = Self { slope: 0., momentum: 0.1, raw: false };
    const FIXMATCH: Self = Self { slope: 0.1, momentum: 0.001, raw: true };

    fn norm(self, cx: &BuildContext, place: Place, layers: Layers) -> Result<Norm> {
        layers.norm(cx, place, |cx| BatchNorm::with(cx, 1e-5, self.momentum))
    }

    fn activated(self, norm: &Norm, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        if self.slope == 0. { norm.norm_relu(xs, pass) } else { norm.norm_leaky_relu(xs, self.slope, pass) }
    }
}

struct Block {
    form: Form,
    /// Whether `bn1` reaches nothing.
    is_raw: bool,
    bn1: Norm,
    conv1: ConvLayer,
    bn2: Norm,
    conv2: ConvLayer,
    shortcut: Option<ConvLayer>,
    hooks: Hooks,
}

impl Block {
    fn new(
        cx: &BuildContext,
        (from, to): (usize, usize),
        stride: usize,
        is_last: bool,
        (form, layers): (Form, Layers),
    ) -> Result<Self> {
        let vb = &cx.vb;
        let three = |name: &str, from, stride| ConvLayer::same(vb.pp(name), from, to, 3, stride);
        let bn1 = form.norm(&cx.at(from, vb.pp("bn1")), Place::First, layers)?;
        let conv1 = three("conv1", from, stride)?;
        let bn2 = form.norm(&cx.at(to, vb.pp("bn2")), Place::Middle, layers)?;
        let conv2 = three("conv2", to, 1)?;
        let shortcut =
            if from == to && stride == 1 { None } else { Some(ConvLayer::same(vb.pp("conv_shortcut"), from, to, 1, stride)?) };
        let positions = [("pre", from), ("residual", to), ("identity", to), ("post", to)];
        let hooks = Hooks::of_block(layers, &positions, cx, layers.end_norm(cx, is_last)?)?;
        Ok(Self { form, is_raw: form.raw && stride > 1, bn1, conv1, bn2, conv2, shortcut, hooks })
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let (hooks, form) = (&self.hooks, self.form);
        let (branch, shortcut) = match &self.shortcut {
            Some(conv) => {
                let activated = form.activated(&self.bn1, xs, pass)?;
                let xs = if self.is_raw { xs } else { &activated };
                (hooks.on_map("pre", xs.clone(), pass)?, conv.on_map(xs)?)
            }
            None => (form.activated(&self.bn1, &hooks.on_map("pre", xs.clone(), pass)?, pass)?, xs.clone()),
        };
        let branch = form.activated(&self.bn2, &self.conv1.on_map(&branch)?, pass)?;
        let shortcut = hooks.on_map("identity", shortcut, pass)?;
        let sum = if hooks.is_empty_at("residual") {
            self.conv2.on_map_add(&branch, &shortcut)?
        } else {
            hooks.on_map("residual", self.conv2.on_map(&branch)?, pass)?.add(&shortcut)?
        };
        hooks.end(hooks.on_map("post", sum, pass)?, pass)
    }
}

/// WideResNet for images (N, H, W, 3); the output is (N, classes).
pub(crate) struct WideResNet {
    stem: ConvLayer,
    blocks: Vec<Block>,
    bn: Norm,
    head: Head,
    built: Built,
    form: Form,
    /// Prefixes of the variables that get no gradient.
    unused: Vec<String>,
}

impl WideResNet {
    /// Builds a WideResNet by name, `wrn<depth>_<width>` or with `_fixmatch` behind; `None` for names of other families.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        let sizes = name.strip_prefix("wrn")?;
        let (sizes, form) = sizes.strip_suffix("_fixmatch").map_or((sizes, Form::USUAL), |sizes| (sizes, Form::FIXMATCH));
        let (depth, width) = sizes.split_once('_')?;
        let (depth, width) = (depth.parse().ok()?, width.parse().ok()?);
        Some(Self::new(depth, width, form, blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds three stages of n blocks (depth 6n + 4) with widths 16·width, 32·width, 64·width.
    ///
    /// # Errors
    /// If the depth is not of the form 6n + 4, a size is out of range, or an attached layer does not fit.
    fn new(depth: usize, width: usize, form: Form, blueprint: &Blueprint) -> Result<Self> {
        if depth < 10 || !(depth - 4).is_multiple_of(6) || width == 0 || depth > 1000 || width > 64 {
            bail!("backbone wrn{depth}_{width}: the depth must be 6n + 4 (10, 16, 22, 28, 40, …), the width 1 to 64")
        }
        Hooks::check_stages(blueprint.layers.configs, 3)?;
        let cx = BuildContext::new(16, blueprint.vars.builder()).of_stages(3);
        let stem = ConvLayer::same(cx.vb.pp("conv1"), 3, 16, 3, 1)?;
        let (mut blocks, mut unused, mut from) = (Vec::new(), Vec::new(), 16);
        for stage in 1..=3 {
            let to = (8 << stage) * width;
            let count = (depth - 4) / 6;
            for layer in 0..count {
                let stride = if stage > 1 && layer == 0 { 2 } else { 1 };
                let name = format!("block{stage}.layer.{layer}");
                let cx = cx.at(to, cx.vb.pp(&name)).in_stage(stage);
                blocks.push(Block::new(&cx, (from, to), stride, layer + 1 == count, (form, blueprint.layers))?);
                from = to;
                if form.raw && stride > 1 {
                    unused.push(format!("{name}.bn1."));
                }
            }
        }
        let bn = form.norm(&cx.at(from, cx.vb.pp("bn1")), Place::Other, blueprint.layers)?;
        let head = Head::new(cx.vb.pp("fc"), from, blueprint.classes)?;
        Ok(Self { stem, blocks, bn, head, built: blueprint.layers.built(&cx)?, form, unused })
    }
}

impl Network for WideResNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            let stem = self.stem.on_map(&xs)?;
            let xs = self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?;
            self.head.forward(&self.form.activated(&self.bn, &xs, pass)?.global_avg_pool()?)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }

    fn unused_parameters(&self) -> &[String] {
        &self.unused
    }
}

//! AllConvNet (Springenberg et al. 2015; Salimans, Kingma 2016), as in the AugMix and CrossNorm experiments: `allconv`.
//!
//! Nine units of convolution, BatchNorm and GELU (x·sigmoid(1.702·x)), widths 96 and 192, max pooling and dropout after
//! the third and sixth; the 1×1 convolutions pad by 1. Positions: `conv`, `norm`, `activation` (after each of the three).
//! Names count every entry of one sequence, attached layers and pools too: `features.4.weight`, as in published weights; the
//! initial values and the masks of dropout are those of the network without attached layers.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;
use sncn_core::block::{ConvLayer, Head, in_chunks};
use sncn_core::layer::{BuildContext, Built, Hooks, Norm, Place};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Network, Pass};

const POSITIONS: [&str; 3] = ["conv", "norm", "activation"];

enum Entry {
    Conv(ConvLayer),
    Norm(Norm),
    Gelu,
    Hook(&'static str, Hooks),
    MaxPool,
    Dropout(u64),
}

/// Entries that are not attached layers.
fn plain(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| !matches!(entry, Entry::Hook(..))).count()
}

/// AllConvNet for images (N, H, W, 3) of at least 26 × 26 pixels; the output is (N, classes).
pub(crate) struct AllConvNet {
    entries: Vec<Entry>,
    head: Head,
    built: Built,
}

impl AllConvNet {
    /// Builds `allconv`; `None` for other names.
    pub(crate) fn named(name: &str, blueprint: &Blueprint) -> Option<Result<Box<dyn Network>>> {
        (name == "allconv").then(|| Self::new(blueprint).map(|network| Box::new(network) as _))
    }

    /// Builds the network with the published widths.
    ///
    /// # Errors
    /// If an attached layer has an unknown kind, position, stage or setting.
    pub(crate) fn new(blueprint: &Blueprint) -> Result<Self> {
        Hooks::check(blueprint.layers.configs, POSITIONS.iter().copied())?;
        Hooks::check_stages(blueprint.layers.configs, 3)?;
        let mut cx = BuildContext::new(96, blueprint.vars.builder()).of_stages(3).in_stage(1);
        let features = cx.vb.pp("features");
        let (mut entries, mut from) = (Vec::new(), 3);
        for (to, kernel, padding) in
            [(96, 3, 1), (96, 3, 1), (96, 3, 1), (192, 3, 1), (192, 3, 1), (192, 3, 1), (192, 3, 0), (192, 1, 1), (192, 1, 1)]
        {
            // the widening convolution and the one 3×3 convolution without padding follow a pool
            if (from, to) == (96, 192) || (kernel, padding) == (3, 0) {
                entries.push(Entry::MaxPool);
                let stage = cx.stage() + 1;
                cx = cx.in_stage(stage);
                entries.push(Entry::Dropout(plain(&entries) as u64));
            }
            let vb = Self::next(&features, &entries, blueprint, None);
            entries.push(Entry::Conv(ConvLayer::new(vb, from, to, kernel, true, Conv { padding, ..Conv::default() })?));
            Self::attach("conv", to, &mut entries, blueprint, &cx)?;
            let vb = Self::next(&features, &entries, blueprint, None);
            entries.push(Entry::Norm(blueprint.layers.batch_norm(&cx.at(to, vb), Place::First)?));
            Self::attach("norm", to, &mut entries, blueprint, &cx)?;
            entries.push(Entry::Gelu);
            Self::attach("activation", to, &mut entries, blueprint, &cx)?;
            from = to;
        }
        let head = Head::new(cx.vb.pp("classifier"), from, blueprint.classes)?;
        // a layer after a GELU computes its statistics itself
        Ok(Self { entries, head, built: blueprint.layers.built(&cx)? })
    }

    /// The variables of the next entry, or of layers attached at a position before it.
    ///
    /// Their names count all entries, those of their initial values only the entries that are not attached layers.
    fn next<'a>(features: &VarBuilder<'a>, entries: &[Entry], blueprint: &Blueprint, at: Option<&str>) -> VarBuilder<'a> {
        let vb = features.pp(entries.len());
        let stream = features.pp(plain(entries));
        blueprint.vars.draw_as(vb.prefix(), at.map_or_else(|| stream.prefix(), |at| stream.pp(at).prefix()));
        vb
    }

    fn attach(
        at: &'static str,
        channels: usize,
        entries: &mut Vec<Entry>,
        blueprint: &Blueprint,
        cx: &BuildContext,
    ) -> Result<()> {
        let here: Vec<_> =
            blueprint.layers.configs.iter().filter(|layer| layer.at == at && layer.is_in(cx.stage())).cloned().collect();
        if !here.is_empty() {
            let vb = Self::next(&cx.vb.pp("features"), entries, blueprint, Some(at));
            let cx = cx.at(channels, vb);
            entries.push(Entry::Hook(at, Hooks::new(blueprint.layers.of(&here), &[(at, channels)], &cx)?));
        }
        Ok(())
    }
}

impl Network for AllConvNet {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        in_chunks(xs, pass, |xs| {
            let mut xs = FeatureMap::from_tensor(xs, self.built.recordable, pass)?;
            for entry in &self.entries {
                xs = match entry {
                    Entry::Conv(conv) => conv.on_map(&xs)?,
                    Entry::Norm(norm) => norm.on_map(&xs, pass)?,
                    Entry::Gelu => xs.quick_gelu()?,
                    Entry::Hook(at, hooks) => hooks.on_map(at, xs, pass)?,
                    Entry::MaxPool => xs.max_pool(2, 2, 0)?,
                    Entry::Dropout(_) if !pass.dropout() => xs,
                    Entry::Dropout(number) => xs.dropout(0.5, pass.seed().named("dropout").fold_in(*number))?,
                };
            }
            let (_, height, width, _) = xs.dims()?;
            if height < 8 || width < 8 {
                bail!(
                    "backbone allconv: images must have at least 26 × 26 pixels (the last map is {height} × {width}, pooled 8 × 8)"
                )
            }
            // the published net pools the top-left 8 × 8 of a 10 × 10 map
            self.head.forward(&xs.corner_mean(8, 8)?)
        })
    }

    fn sites(&self) -> usize {
        self.built.sites
    }
}

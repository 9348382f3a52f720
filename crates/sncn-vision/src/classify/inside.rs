//! What a layer does to the features inside a trained network, carried back to pixels by feature inversion.

use super::setup::Classify;
use crate::backbone::{self, Blueprint};
use crate::preprocess::Preprocessing;
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use sncn_core::layer::{Layer, LayerConfig, Layers, MIXING, Registry, Tap, features};
use sncn_core::{CrossNormDraw, Network, Pass, Seed, Vars};
use sncn_train::harness::{Trained, cli};
use sncn_train::inversion::{Descent, Inversion, Inverted};
use std::str::FromStr;

/// A block of a network: `block2.0` is the first of stage 2; what stands before the numbers is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    stage: usize,
    index: usize,
}

impl FromStr for Block {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let accepted = || format!("{text:?} is no block; stage and block are accepted, as in block2.0 (the first of stage 2)");
        let (stage, index) = text.split_once('.').with_context(accepted)?;
        let stage = stage.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().with_context(accepted)?;
        Ok(Self { stage, index: index.parse().with_context(accepted)? })
    }
}

/// The layer whose effect is shown.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Contents in the styles of other images.
    Crossnorm,
    /// Features before and after the gates.
    Selfnorm,
}

/// A trained network with a tap at the end of one block.
pub(super) struct Inside<'a> {
    trained: &'a Trained<Classify>,
    block: Block,
    loss: Inversion,
    descent: Descent,
    seed: Seed,
}

/// The position of blocks at whose end layers are attached.
const AT: &str = "post";

impl<'a> Inside<'a> {
    pub(super) fn new(trained: &'a Trained<Classify>, block: Block, by: (Inversion, Descent), seed: u64) -> Self {
        let (loss, descent) = by;
        Self { trained, block, loss, descent, seed: Seed::new(seed).named("show/inversion") }
    }

    pub(super) fn preprocessing(&self) -> &Preprocessing {
        &self.trained.run.settings.preprocessing
    }

    /// The trained network with a tap before the layers at the end of the blocks of the stage, or after them.
    fn network(&self, is_after: bool) -> Result<Box<dyn Network>> {
        let run = &self.trained.run;
        let tap = LayerConfig { stages: Some(vec![self.block.stage]), ..LayerConfig::new("tap", AT) };
        // layers that mix have no variables and do nothing here; without them sites are taps
        let mut layers: Vec<LayerConfig> = run.layers.clone();
        layers.retain(|layer| !MIXING.contains(&layer.kind.as_str()));
        layers.insert(if is_after { layers.len() } else { 0 }, tap);
        let registry = Registry::default().with("tap", |_, cx| Ok(Box::new(Tap::new(cx))))?;
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let layers = Layers::new(&layers, &registry).with_norm(run.norm.as_ref());
        let blueprint = Blueprint { classes: self.trained.header.classes.len(), layers, vars: &vars };
        let network = backbone::build(&run.backbone, &blueprint).context("--site")?;
        let trained = self.trained.vars.all();
        vars.load(|name| trained.iter().find(|(known, _)| known == name).map(|(_, var)| var.as_detached_tensor()))?;
        ensure!(
            self.block.index < network.sites(),
            "--site: stage {} of {} has the blocks 0 to {}, not {}",
            self.block.stage,
            run.backbone,
            network.sites().saturating_sub(1),
            self.block.index
        );
        Ok(network)
    }

    /// Images (N, H, W, 3) whose features are near the wanted ones.
    fn inverted(&self, network: &dyn Network, wanted: &Tensor, what: &str) -> Result<Tensor> {
        let side = self.preprocessing().size;
        let start = (self.seed.normal((wanted.dim(0)?, side, side, 3))? * 0.1)?;
        let (pass, index) = (Pass::eval().with_backward(), self.block.index);
        let bar = cli::progress(self.descent.steps, what);
        let of = |xs: &Tensor| features(network, xs, index, &pass);
        let found = self.descent.invert(&self.loss, &start, wanted, &of, |step| bar.set_position(step as u64));
        bar.finish_and_clear();
        let Inverted { images, lr, first, last } = found?;
        eprintln!("{what}: the loss of {} images fell from {first:.4} to {last:.4} (learning rate {lr})", wanted.dim(0)?);
        Ok(images)
    }

    fn inputs(&self, images: &[Vec<u8>]) -> Result<Tensor> {
        let (side, by) = (self.preprocessing().size, self.preprocessing().normalisation());
        let values: Vec<f32> = images.iter().flat_map(|image| by.values(image)).collect();
        Ok(Tensor::from_vec(values, (images.len(), side, side, 3), &Device::Cpu)?)
    }

    /// Inputs of the network as images.
    fn images(&self, inputs: &Tensor) -> Result<Vec<Vec<u8>>> {
        let by = self.preprocessing().normalisation();
        let values: Vec<f32> = inputs.flatten_all()?.to_vec1()?;
        let byte = |(at, value): (usize, &f32)| (255. * (value * by.std[at % 3] + by.mean[at % 3]).clamp(0., 1.)).round() as u8;
        let side = self.preprocessing().size;
        Ok(values.chunks_exact(3 * side * side).map(|image| image.iter().enumerate().map(byte).collect()).collect())
    }

    /// Contents in styles: for the contents themselves, then for every style, an image for each content.
    pub(super) fn crossnorm(&self, contents: &[Vec<u8>], styles: &[Vec<u8>], draw: &CrossNormDraw) -> Result<Vec<Vec<Vec<u8>>>> {
        let network = self.network(false)?;
        let (n, all) = (contents.len(), self.inputs(&[contents, styles].concat())?);
        let maps = features(&*network, &all, self.block.index, &Pass::eval())?;
        let mut wanted = vec![maps.narrow(0, 0, n)?];
        for style in 0..styles.len() {
            let draw = CrossNormDraw { partner: vec![n + style; n + styles.len()], ..draw.clone() };
            wanted.push(draw.forward(&maps, &Pass::eval())?.narrow(0, 0, n)?);
        }
        let found = self.images(&self.inverted(&*network, &Tensor::cat(&wanted, 0)?, "invert")?)?;
        Ok(found.chunks_exact(n).map(<[_]>::to_vec).collect())
    }

    /// Images from features before the layers at the block's end, from those after them, and the difference of the two, its middle grey.
    pub(super) fn selfnorm(&self, contents: &[Vec<u8>]) -> Result<[Vec<Vec<u8>>; 3]> {
        let is_there = |layer: &LayerConfig| layer.kind == "selfnorm" && layer.at == AT && layer.is_in(self.block.stage);
        ensure!(
            self.trained.run.layers.iter().any(is_there),
            "--layer selfnorm: the network has no SelfNorm at {AT:?} of stage {}",
            self.block.stage
        );
        let inputs = self.inputs(contents)?;
        let of = |is_after: bool, what: &str| -> Result<Tensor> {
            let network = self.network(is_after)?;
            let maps = features(&*network, &inputs, self.block.index, &Pass::eval())?;
            self.inverted(&*network, &maps, what)
        };
        let (before, after) = (of(false, "before the gate")?, of(true, "after it")?);
        let (before, after) = (self.images(&before)?, self.images(&after)?);
        let away = |(a, b): (&u8, &u8)| (128 + (i16::from(*b) - i16::from(*a)) / 2).clamp(0, 255) as u8;
        let difference = before.iter().zip(&after).map(|(a, b)| a.iter().zip(b).map(away).collect()).collect();
        Ok([before, after, difference])
    }

    /// The name of the block and network.
    pub(super) fn describe(&self) -> String {
        let Block { stage, index } = self.block;
        format!("block {index} of stage {stage} of {}", self.trained.run.backbone)
    }
}

/// Means and standard deviations of the three channels of an image, as fractions of the full range.
fn statistics(image: &[u8]) -> [f64; 6] {
    let count = (image.len() / 3).max(1) as f64;
    let sum = |channel: usize, f: &dyn Fn(f64) -> f64| -> f64 {
        image.iter().skip(channel).step_by(3).map(|&byte| f(f64::from(byte) / 255.)).sum::<f64>() / count
    };
    let means: [f64; 3] = std::array::from_fn(|c| sum(c, &|v| v));
    std::array::from_fn(|at| match at {
        0..3 => means[at],
        _ => sum(at - 3, &|v| (v - means[at - 3]).powi(2)).sqrt(),
    })
}

/// The mean distance of images' channel statistics to those of a style.
pub(super) fn style_distance(images: &[Vec<u8>], style: &[u8]) -> f64 {
    let wanted = statistics(style);
    let distance =
        |image: &Vec<u8>| statistics(image).iter().zip(wanted).map(|(own, theirs)| (own - theirs).powi(2)).sum::<f64>().sqrt();
    images.iter().map(distance).sum::<f64>() / images.len().max(1) as f64
}

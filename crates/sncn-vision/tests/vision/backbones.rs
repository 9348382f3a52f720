//! Every backbone of the registry: scores of the right shape, numbers, and a gradient for every parameter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use sncn_core::layer::LAYERS;
use sncn_core::loss::cross_entropy;
use sncn_core::{LayerConfig, Pass, Seed, Vars};
use sncn_vision::backbone::{BACKBONES, Blueprint, build};

/// A small network of every family, with its positions.
pub(crate) const EXAMPLES: &[(&str, &[&str])] = &[
    ("wrn10_1", &["pre", "residual", "identity", "post"]),
    ("allconv", &["conv", "norm", "activation"]),
    ("densenet10_4", &["conv1_pre", "conv1_post"]),
    ("densenetbc10_4", &["conv1_pre", "conv1_post", "conv2_post"]),
    ("resnext11_2x4", &["pre", "residual", "identity", "post"]),
    ("cifar_resnet18", &["pre", "residual", "identity", "post"]),
    ("efficientnet_lite0", &["pre", "residual", "identity", "post"]),
    ("resnet18_maxblur", &["pre", "residual", "identity", "post"]),
    ("resnet18_ibn_a", &["residual"]),
    ("resnet18_ibn_b", &["pre", "post"]),
];

/// The side of images that leave every network at least two positions a channel in its last stage.
pub(crate) fn side(name: &str) -> usize {
    if name.starts_with("resnet") || name.starts_with("efficientnet") { 64 } else { 32 }
}

fn check(name: &str, layers: &[LayerConfig]) -> Result<()> {
    let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let network = build(name, &Blueprint { classes: 7, layers: layers.into(), vars: &vars })?;
    let images = Vars::new(Seed::new(5), DType::F32, &Device::Cpu);
    let xs = images.builder().get_with_hints((2, side(name), side(name), 3), "xs", Init::Randn { mean: 0., stdev: 1. })?.detach();
    let finite = |t: &Tensor| anyhow::Ok(t.flatten_all()?.to_vec1::<f32>()?.iter().all(|v| v.is_finite()));
    let sites = network.sites();
    let mixing = (sites > 0).then(|| Pass::mixing(sites, sites, Seed::new(2)));
    for pass in [Pass::train(Seed::new(1)), Pass::eval()].into_iter().chain(mixing) {
        let scores = network.forward(&xs, &pass)?;
        ensure!(scores.dims() == [2, 7] && finite(&scores)?, "scores {scores}");
        if !pass.train {
            continue;
        }
        let grads = cross_entropy(&scores, &[1, 4], None)?.backward()?;
        for (name, var) in vars.trainable() {
            match grads.get(var.as_tensor()) {
                Some(grad) => ensure!(finite(grad)?, "{name}: the gradient is no number"),
                None => {
                    ensure!(network.unused_parameters().iter().any(|prefix| name.starts_with(prefix)), "{name} has no gradient")
                }
            }
        }
    }
    Ok(())
}

#[test]
fn every_backbone_gives_scores_and_gradients() -> Result<()> {
    let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let blueprint = Blueprint { classes: 2, layers: (&[]).into(), vars: &vars };
    for (pattern, family) in BACKBONES {
        ensure!(EXAMPLES.iter().any(|(name, _)| family(name, &blueprint).is_some()), "{pattern} has no example here");
    }
    for (name, positions) in EXAMPLES {
        check(name, &[]).with_context(|| name.to_string())?;
        for at in positions.iter().copied().chain(["image"]) {
            let layers = ["crossnorm", "selfnorm"].map(|kind| LayerConfig::new(kind, at));
            check(name, &layers).with_context(|| format!("{name} with layers at {at}"))?;
        }
    }
    Ok(())
}

/// A layer with settings that suit any number of channels.
pub(crate) fn attached(kind: &str, at: &str) -> LayerConfig {
    let groups = (kind == "group_norm").then(|| ("groups".to_string(), 1.into()));
    LayerConfig { settings: groups.into_iter().collect(), ..LayerConfig::new(kind, at) }
}

#[test]
fn every_layer_at_every_position_of_every_backbone_has_its_gradients() -> Result<()> {
    for (name, positions) in EXAMPLES {
        for at in *positions {
            for (kind, _) in LAYERS {
                let layer = attached(kind, at);
                check(name, &[layer]).with_context(|| format!("{name} with {kind} at {at}"))?;
            }
        }
    }
    Ok(())
}

/// Scores, gradients and running statistics of AllConvNet on six small images, with this layer at this position.
fn smooth(kind: &str, at: &str, dtype: DType) -> Result<Vec<(String, Vec<f64>)>> {
    let mut settings = serde_json::Map::new();
    if kind == "crossnorm" {
        settings.insert("crop".to_string(), "both".into());
    }
    let layers = [LayerConfig { settings, ..LayerConfig::new(kind, at) }];
    let vars = Vars::new(Seed::new(3), dtype, &Device::Cpu);
    let network = build("allconv", &Blueprint { classes: 7, layers: (&layers).into(), vars: &vars })?;
    let images = Vars::new(Seed::new(5), dtype, &Device::Cpu);
    let xs = images.builder().get_with_hints((6, 26, 26, 3), "xs", Init::Randn { mean: 0., stdev: 1. })?.detach();
    let pass = Pass::mixing(network.sites(), network.sites().min(2), Seed::new(2));
    let scores = network.forward(&xs, &pass)?;
    let grads = cross_entropy(&scores, &[1, 4, 0, 6, 2, 4], None)?.backward()?;
    let values = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let mut all = vec![("scores".to_string(), values(&scores)?)];
    for (name, var) in vars.trainable() {
        all.push((name.clone(), values(grads.get(var.as_tensor()).context(name)?)?));
    }
    for (name, var) in vars.all().into_iter().filter(|(name, _)| name.contains("running")) {
        all.push((name, values(var.as_tensor())?));
    }
    Ok(all)
}

#[test]
fn allconv_recorded_meets_its_tensors() -> Result<()> {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let cases = [("crossnorm", "conv"), ("selfnorm", "norm"), ("mixstyle", "activation"), ("crossnorm", "activation")];
    for (kind, at) in cases.into_iter().chain([("crossnorm", "image")]) {
        let (fast, slow) = (smooth(kind, at, DType::F32)?, smooth(kind, at, DType::F64)?);
        let total = norm(&mut slow.iter().filter(|(name, _)| !name.contains("running")).flat_map(|(_, v)| v.iter().copied()));
        for ((name, fast), (_, slow)) in fast.iter().zip(&slow) {
            let off = norm(&mut fast.iter().zip(slow).map(|(a, b)| a - b));
            let size = norm(&mut slow.iter().copied());
            ensure!(off <= 2e-3 * size + 1e-4 * total, "{kind} at {at}, {name}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

/// Scores and all gradients of a network in f64, of the images too, in a training pass that mixes at every site.
fn passed(name: &str, at: &str) -> Result<Vec<(String, Vec<f64>)>> {
    let layers = [LayerConfig::new("crossnorm", at), LayerConfig::new("selfnorm", at)];
    let vars = Vars::new(Seed::new(3), DType::F64, &Device::Cpu);
    let network = build(name, &Blueprint { classes: 7, layers: (&layers).into(), vars: &vars })?;
    let images = Vars::new(Seed::new(5), DType::F64, &Device::Cpu);
    let xs = images.builder().get_with_hints((3, side(name), side(name), 3), "xs", Init::Randn { mean: 0., stdev: 1. })?;
    let scores = network.forward(&xs, &Pass::mixing(network.sites(), network.sites(), Seed::new(2)))?;
    let grads = cross_entropy(&scores, &[1, 4, 0], None)?.backward()?;
    let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f64>();
    let mut all =
        vec![("scores".to_string(), values(&scores)?), ("images".to_string(), values(grads.get(&xs).context("images")?)?)];
    for (name, var) in vars.all() {
        let gradient = grads.get(var.as_tensor());
        all.push((name, gradient.map_or_else(|| Ok(Vec::new()), values)?));
    }
    Ok(all)
}

#[test]
fn every_backbone_is_the_same_without_kernels() -> Result<()> {
    for (name, positions) in EXAMPLES {
        let at = positions[positions.len() - 1];
        let (kernels, reference) = (passed(name, at)?, sncn_core::reference::forced(|| passed(name, at))?);
        for ((what, one), (_, two)) in kernels.iter().zip(&reference) {
            let size = one.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let off = one.iter().zip(two).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            ensure!(one.len() == two.len() && off <= 1e-8 * size, "{name}, {what}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

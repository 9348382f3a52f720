//! Every segmentation network with every layer at every position: shapes, numbers, gradients; and the objective.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::backbones::attached;
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use sncn_core::layer::LAYERS;
use sncn_core::loss::value;
use sncn_core::{LayerConfig, Network, Pass, Seed, Vars};
use sncn_train::data::{Batch, VOID};
use sncn_train::objective::{MixConfig, Objective};
use sncn_vision::backbone::{Blueprint, segment};

const CLASSES: usize = 5;

fn built(name: &str, layers: &[LayerConfig]) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let network = segment::build(name, &Blueprint { classes: CLASSES, layers: layers.into(), vars: &vars })?;
    Ok((network, vars))
}

fn images(shape: (usize, usize, usize)) -> Result<Tensor> {
    let vars = Vars::new(Seed::new(5), DType::F32, &Device::Cpu);
    let (n, h, w) = shape;
    Ok(vars.builder().get_with_hints((n, h, w, 3), "xs", Init::Randn { mean: 0., stdev: 1. })?.detach())
}

fn labels(count: usize) -> Vec<u32> {
    (0..count).map(|i| if i % 7 == 0 { VOID } else { (i / 11 % CLASSES) as u32 }).collect()
}

fn check(name: &str, layers: &[LayerConfig], size: (usize, usize)) -> Result<()> {
    let (network, vars) = built(name, layers)?;
    let (h, w) = size;
    let xs = images((2, h, w))?;
    let scores = network.forward(&xs, &Pass::eval())?;
    ensure!(scores.dims() == [2, h, w, CLASSES], "scores {:?}", scores.dims());
    ensure!(scores.flatten_all()?.to_vec1::<f32>()?.iter().all(|score| score.is_finite()), "a score is no number");
    let batch = Batch::new(xs, labels(2 * h * w));
    let mix = (network.sites() > 0).then_some(MixConfig { probability: 1., active: 2 });
    let loss = Objective::Segment { auxiliary: 0.4 }.loss(&*network, &batch, mix, Seed::new(1))?;
    ensure!(value(&loss)?.is_finite());
    let grads = loss.backward()?;
    for (variable, var) in vars.trainable() {
        let grad = grads.get(var.as_tensor()).with_context(|| format!("{variable} has no gradient"))?;
        let norm = grad.sqr()?.sum_all()?.to_scalar::<f32>()?;
        ensure!(norm.is_finite(), "{variable} has the gradient {norm}");
    }
    Ok(())
}

#[test]
fn every_network_labels_every_pixel_and_every_variable_learns() -> Result<()> {
    for head in ["fcn", "deeplabv3plus"] {
        for depth in [18, 34, 50, 101] {
            for ibn in ["", "_ibn"] {
                let name = format!("{head}_resnet{depth}_8{ibn}");
                check(&name, &[], (49, 65)).with_context(|| name.clone())?;
            }
        }
    }
    Ok(())
}

#[test]
fn every_layer_hangs_at_every_position() -> Result<()> {
    for name in ["fcn_resnet18_8", "deeplabv3plus_resnet50_4_ibn"] {
        for at in ["pre", "residual", "identity", "post"] {
            for (kind, _) in LAYERS {
                let layer = LayerConfig { stages: Some(vec![1, 3]), ..attached(kind, at) };
                check(name, &[layer], (33, 47)).with_context(|| format!("{name}, {kind} at {at}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn layers_hang_on_the_stages_they_name() -> Result<()> {
    let sites = |stages: Option<Vec<usize>>| -> Result<usize> {
        let layer = LayerConfig { stages, ..LayerConfig::new("crossnorm", "post") };
        Ok(built("fcn_resnet50_4", &[layer])?.0.sites())
    };
    assert_eq!([sites(None)?, sites(Some(vec![1]))?, sites(Some(vec![2, 3]))?], [16, 3, 10]);
    Ok(())
}

#[test]
fn names_that_do_not_fit_are_refused() {
    for name in [
        "fcn",
        "fcn_resnet19",
        "fcn_resnet50_",
        "fcn_resnet50_3",
        "fcn_resnet50_64_ibn_x",
        "unet_resnet50",
        "fcn_resnet50_ibn_64",
    ] {
        let error = format!("{:#}", built(name, &[]).map(|_| ()).unwrap_err());
        assert!(error.contains(name) && error.contains(segment::NAMES), "{error}");
    }
}

#[test]
fn void_pixels_teach_nothing_and_a_void_batch_has_the_loss_zero() -> Result<()> {
    let (network, vars) = built("fcn_resnet18_8", &[])?;
    let (h, w) = (33, 41);
    let xs = images((2, h, w))?;
    let run = |labels: Vec<u32>| {
        let batch = Batch::new(xs.clone(), labels);
        Objective::Segment { auxiliary: 0.4 }.loss(&*network, &batch, None, Seed::new(1))
    };
    let loss = run(vec![VOID; 2 * h * w])?;
    assert_eq!(value(&loss)?, 0.);
    let grads = loss.backward()?;
    for (name, var) in vars.trainable() {
        if let Some(grad) = grads.get(var.as_tensor()) {
            assert_eq!(grad.abs()?.sum_all()?.to_scalar::<f32>()?, 0., "{name}");
        }
    }
    // the label of a void pixel does not matter to the others: half void is the mean over the other half
    let some: Vec<u32> = labels(2 * h * w);
    assert!(value(&run(some)?)? > 0.5);
    assert!(run(vec![CLASSES as u32; 2 * h * w]).is_err(), "a label that is no class");
    Ok(())
}

/// Scores, and all gradients of the objective, of a network in f64.
fn passed(name: &str) -> Result<Vec<Vec<f64>>> {
    let layers = [LayerConfig::new("crossnorm", "post"), LayerConfig::new("selfnorm", "residual")];
    let vars = Vars::new(Seed::new(3), DType::F64, &Device::Cpu);
    let network = segment::build(name, &Blueprint { classes: CLASSES, layers: (&layers).into(), vars: &vars })?;
    let xs = images((2, 33, 41))?.to_dtype(DType::F64)?;
    let pass = Pass::mixing(network.sites(), 2, Seed::new(2));
    let batch = Batch::new(xs, labels(2 * 33 * 41));
    let scores = network.forward(&batch.inputs, &pass)?;
    let grads = Objective::Segment { auxiliary: 0.4 }.loss_in(&*network, &batch, &pass)?.backward()?;
    let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f64>();
    let gradients = vars.trainable().into_iter().map(|(name, var)| Ok(values(grads.get(var.as_tensor()).context(name)?)?));
    std::iter::once(Ok(values(&scores)?)).chain(gradients).collect()
}

#[test]
fn networks_are_the_same_without_kernels() -> Result<()> {
    for name in ["fcn_resnet18_8", "deeplabv3plus_resnet18_8_ibn"] {
        let (kernels, reference) = (passed(name)?, sncn_core::reference::forced(|| passed(name))?);
        for (i, (one, two)) in kernels.iter().zip(&reference).enumerate() {
            let size = one.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
            let off = one.iter().zip(two).fold(0f64, |m, (a, b)| m.max((a - b).abs()));
            ensure!(one.len() == two.len() && off <= 1e-8 * size, "{name}, {i}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

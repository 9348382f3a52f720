//! Every norm in the place of every network's norms: names, gradients, the same again from its variables, and what is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::backbones::{EXAMPLES, side};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Module, Tensor};
use sncn_core::layer::{BuildContext, FromModule, Layer, NORMS, NormConfig, Registry, Settings, Where};
use sncn_core::loss::cross_entropy;
use sncn_core::{LayerConfig, Layers, Network, Pass, Seed, Vars};
use sncn_vision::backbone::{Blueprint, build, segment};
use std::collections::BTreeMap;

const CLASSES: usize = 7;

/// Networks whose pixels are classified.
const SEGMENTERS: [&str; 2] = ["fcn_resnet18_8", "deeplabv3plus_resnet50_4"];

/// A network with that norm, its initial values drawn with `seed`.
fn built(name: &str, norm: Option<&NormConfig>, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    with_layers(name, &[], norm, seed)
}

fn with_layers(name: &str, layers: &[LayerConfig], norm: Option<&NormConfig>, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let blueprint = Blueprint { classes: CLASSES, layers: Layers::from(layers).with_norm(norm), vars: &vars };
    let network = if name.contains("_resnet") && !name.starts_with("cifar") {
        segment::build(name, &blueprint)?
    } else {
        build(name, &blueprint)?
    };
    Ok((network, vars))
}

fn refused(name: &str, layers: &[LayerConfig], norm: &NormConfig) -> String {
    format!("{:#}", with_layers(name, layers, Some(norm), 0).map(|_| ()).unwrap_err())
}

/// The kinds that a row can name, with settings that every number of channels here allows.
fn kinds(network: &str) -> Vec<NormConfig> {
    let registry = Registry::standard();
    let of = |kind: &str| match kind {
        "group_norm" => {
            let groups = if network.starts_with("densenet") || network.starts_with("deeplab") { 1 } else { 8 };
            serde_json::from_value(serde_json::json!({"kind": kind, "groups": groups})).unwrap()
        }
        _ => NormConfig::new(kind),
    };
    NORMS.iter().copied().filter(|kind| registry.is_norm(kind)).chain(["ibn_a", "ibn_b"]).map(of).collect()
}

fn names(vars: &Vars) -> Vec<(String, Vec<usize>)> {
    vars.all().into_iter().map(|(name, var)| (name, var.dims().to_vec())).collect()
}

fn images(name: &str, count: usize) -> Result<Tensor> {
    let side = if SEGMENTERS.contains(&name) { 33 } else { side(name) };
    Ok(Seed::new(5).normal((count, side, side, 3))?)
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

/// A training pass with a gradient for every parameter, and the same scores again from a network that takes over the variables.
fn check(name: &str, norm: &NormConfig) -> Result<()> {
    let (network, vars) = built(name, Some(norm), 3)?;
    let xs = images(name, 3)?;
    let scores = network.forward(&xs, &Pass::train(Seed::new(1)))?;
    ensure!(values(&scores)?.iter().all(|score| score.is_finite()), "a score is no number");
    let rows = scores.elem_count() / CLASSES;
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % CLASSES as u32).collect();
    let mut loss = cross_entropy(&scores.reshape((rows, CLASSES))?, &labels, None)?;
    if let (_, Some(auxiliary)) = network.forward_auxiliary(&xs, &Pass::train(Seed::new(1)))? {
        loss = (loss + cross_entropy(&auxiliary.reshape((rows, CLASSES))?, &labels, None)?)?;
    }
    let grads = loss.backward()?;
    for (variable, var) in vars.trainable() {
        let grad = grads.get(var.as_tensor()).with_context(|| format!("{variable} has no gradient"))?;
        ensure!(values(grad)?.iter().all(|grad| grad.is_finite()), "{variable}: the gradient is no number");
    }
    // a step, and what a checkpoint keeps
    for (_, var) in vars.trainable() {
        let grad = grads.get(var.as_tensor()).context("no gradient")?;
        var.set(&(var.as_detached_tensor() - (grad * 0.01)?)?)?;
    }
    let kept: BTreeMap<String, Tensor> = vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let (again, other) = built(name, Some(norm), 4)?;
    other.load(|name| kept.get(name).cloned())?;
    let (one, two) = (network.forward(&xs, &Pass::eval())?, again.forward(&xs, &Pass::eval())?);
    ensure!(values(&one)? == values(&two)?, "other scores from the same variables");
    ensure!(values(&one)?.iter().all(|score| score.is_finite()), "a score of an evaluation is no number");
    Ok(())
}

#[test]
fn every_norm_in_every_network_learns_and_is_rebuilt() -> Result<()> {
    let plain = EXAMPLES.iter().map(|(name, _)| *name).filter(|name| !name.contains("_ibn_"));
    for name in plain.chain(SEGMENTERS) {
        for norm in kinds(name) {
            let what = format!("{name}, {}", norm.kind);
            if name == "allconv" && norm.kind == "ibn_b" {
                let error = refused(name, &[], &norm);
                ensure!(error.contains("ibn_b") && error.contains("end of stages 1 and 2"), "{error}");
                continue;
            }
            check(name, &norm).context(what)?;
        }
    }
    Ok(())
}

#[test]
fn names_stay_those_of_the_network() -> Result<()> {
    for (name, _) in EXAMPLES.iter().filter(|(name, _)| !name.contains("_ibn_")) {
        let usual = names(&built(name, None, 0)?.1);
        ensure!(usual == names(&built(name, Some(&NormConfig::new("batch_norm")), 0)?.1), "{name}");
        let is_buffer = |name: &str| name.contains("running_") || name.ends_with("num_batches_tracked");
        let without: Vec<_> = usual.into_iter().filter(|(name, _)| !is_buffer(name)).collect();
        for kind in ["instance_norm", "layer_norm"] {
            ensure!(without == names(&built(name, Some(&NormConfig::new(kind)), 0)?.1), "{name}, {kind}");
        }
    }
    Ok(())
}

#[test]
fn batch_norm_by_name_is_the_network_as_it_is() -> Result<()> {
    for name in ["wrn10_1", "allconv", "densenetbc10_4", "resnext11_2x4", "cifar_resnet18"] {
        let xs = images(name, 2)?;
        let passed = |norm: Option<&NormConfig>| -> Result<Vec<f32>> {
            let (network, _vars) = built(name, norm, 3)?;
            let trained = values(&network.forward(&xs, &Pass::train(Seed::new(1)))?)?;
            Ok([trained, values(&network.forward(&xs, &Pass::eval())?)?].concat())
        };
        ensure!(passed(None)? == passed(Some(&NormConfig::new("batch_norm")))?, "{name}: other scores");
    }
    Ok(())
}

#[test]
fn networks_named_ibn_have_the_norm_of_that_name() -> Result<()> {
    for (named, plain, kind) in [
        ("cifar_resnet18_ibn_a", "cifar_resnet18", "ibn_a"),
        ("cifar_resnet18_ibn_b", "cifar_resnet18", "ibn_b"),
        ("resnet50_ibn_b", "resnet50", "ibn_b"),
        ("fcn_resnet18_8_ibn", "fcn_resnet18_8", "ibn_a"),
    ] {
        let layers = [LayerConfig::new("selfnorm", "post")];
        let norm = NormConfig::new(kind);
        let of_name = with_layers(named, &layers, None, 3)?.1;
        ensure!(names(&of_name) == names(&with_layers(plain, &layers, Some(&norm), 3)?.1), "{named}");
        let error = refused(named, &layers, &norm);
        ensure!(error.contains("name says") && error.contains(kind), "{error}");
    }
    Ok(())
}

/// The paths of the InstanceNorms of a network, of which neither a running mean nor BatchNorm's half is kept.
fn replaced(name: &str, kind: &str, place: Option<Where>) -> Result<Vec<String>> {
    let norm = NormConfig { place, ..NormConfig::new(kind) };
    let vars = built(name, Some(&norm), 0)?.1;
    let all = names(&vars);
    let has = |name: &str| all.iter().any(|(other, _)| other == name);
    let norms = all
        .iter()
        .filter(|(name, dims)| name.ends_with(".bias") && dims.len() == 1)
        .filter_map(|(name, _)| name.strip_suffix(".bias"));
    let own = norms.filter(|path| has(&format!("{path}.weight")) && !has(&format!("{path}.running_mean")));
    Ok(own
        .filter(|path| all.iter().any(|(name, dims)| *name == format!("{path}.weight") && dims.len() == 1))
        .map(str::to_string)
        .collect())
}

#[test]
fn where_says_which_norms_are_replaced() -> Result<()> {
    let of = |name, place| replaced(name, "instance_norm", Some(place));
    assert_eq!(of("wrn10_1", Where::First)?, ["block1.layer.0.bn1"]);
    assert_eq!(of("wrn10_1", Where::Middle)?, ["block1.layer.0.bn2", "block2.layer.0.bn2", "block3.layer.0.bn2"]);
    assert_eq!(of("wrn10_1", Where::All)?.len(), 7);
    assert_eq!(of("cifar_resnet18", Where::First)?, ["bn1"]);
    assert_eq!(of("cifar_resnet18", Where::Middle)?.len(), 8);
    assert_eq!(of("resnext11_2x4", Where::First)?, ["bn_1"]);
    assert_eq!(of("resnext11_2x4", Where::Middle)?, ["stage_1.0.bn", "stage_2.0.bn", "stage_3.0.bn"]);
    assert_eq!(of("densenetbc10_4", Where::Middle)?, ["dense1.0.bn2", "dense2.0.bn2", "dense3.0.bn2"]);
    assert_eq!(of("efficientnet_lite0", Where::First)?, ["_bn0"]);
    assert!(of("efficientnet_lite0", Where::Middle)?.iter().all(|name| name.ends_with("._bn1")));
    assert_eq!(of("allconv", Where::First)?, ["features.1"]);
    let ibn_a = replaced("wrn16_1", "ibn_a", None)?;
    assert_eq!(ibn_a, ["block1.layer.0.bn1.IN", "block1.layer.1.bn1.IN", "block2.layer.0.bn1.IN", "block2.layer.1.bn1.IN"]);
    assert_eq!(replaced("wrn16_1", "ibn_b", None)?, ["block1.layer.1.IN", "block2.layer.1.IN"]);
    assert_eq!(replaced("resnext11_2x4", "ibn_b", None)?, ["bn_1", "stage_1.0.IN", "stage_2.0.IN"]);
    Ok(())
}

#[test]
fn what_is_no_norm_or_has_no_place_is_refused() {
    let of = |json: serde_json::Value| serde_json::from_value::<NormConfig>(json).unwrap();
    for (network, json, told) in [
        ("wrn10_1", serde_json::json!({"kind": "crossnorm"}), "the layer \"crossnorm\" is no norm"),
        ("wrn10_1", serde_json::json!({"kind": "batchnorm"}), "unknown norm \"batchnorm\"; known: batch_norm, instance_norm"),
        ("wrn10_1", serde_json::json!({"kind": "group_norm", "groups": 5}), "norm \"block1.layer.0.bn1\" of 16 channels"),
        ("wrn10_1", serde_json::json!({"kind": "group_norm", "group": 4}), "unknown field `group`"),
        ("wrn10_1", serde_json::json!({"kind": "instance_norm", "eps": 1}), "unknown key \"eps\""),
        ("wrn10_1", serde_json::json!({"kind": "ibn_a", "where": "all"}), "unknown key \"where\""),
        ("wrn10_1", serde_json::json!({"kind": "ibn_b", "groups": 2}), "unknown key \"groups\""),
        ("densenet10_4", serde_json::json!({"kind": "instance_norm", "where": "middle"}), "no norm between the convolutions"),
        ("allconv", serde_json::json!({"kind": "instance_norm", "where": "middle"}), "no norm between the convolutions"),
    ] {
        let error = refused(network, &[], &of(json));
        assert!(error.contains(told), "{error}");
    }
    let wrong = serde_json::from_value::<NormConfig>(serde_json::json!({"kind": "ibn", "where": "last"})).unwrap_err();
    assert!(wrong.to_string().contains("`all`, `first`, `middle`"), "{wrong}");
}

#[test]
fn blocks_that_end_in_a_norm_have_no_layer_after_it() -> Result<()> {
    let post = [LayerConfig::new("crossnorm", "post")];
    for (name, all, rest) in
        [("wrn16_1", 6, 4), ("resnext11_2x4", 3, 1), ("cifar_resnet18", 8, 6), ("efficientnet_lite0", 16, 14)]
    {
        assert_eq!(with_layers(name, &post, None, 0)?.0.sites(), all, "{name}");
        assert_eq!(with_layers(name, &post, Some(&NormConfig::new("ibn_b")), 0)?.0.sites(), rest, "{name}");
    }
    Ok(())
}

/// y = x/2: a module of candle's that stands in the place of norms.
struct Half;

impl Module for Half {
    fn forward(&self, xs: &Tensor) -> candle_core::Result<Tensor> {
        xs * 0.5
    }
}

fn halving(settings: Settings, _: &BuildContext) -> candle_core::Result<Box<dyn Layer>> {
    settings.none()?;
    Ok(Box::new(FromModule(Half)))
}

#[test]
fn a_program_has_norms_of_its_own_and_without_a_recorded_form() -> Result<()> {
    let (attached, norms) = (Registry::default().with("half", halving)?, Registry::default().with_norm("half", halving)?);
    let norm = NormConfig::new("half");
    let build = |registry| {
        let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
        let layers = Layers::new(&[], registry).with_norm(Some(&norm));
        build("wrn10_1", &Blueprint { classes: CLASSES, layers, vars: &vars })
    };
    let error = build(&attached).map(|_| ()).unwrap_err().to_string();
    ensure!(error.contains("the layer \"half\" is no norm"), "{error}");
    let scores = build(&norms)?.forward(&images("wrn10_1", 2)?, &Pass::train(Seed::new(1)))?;
    ensure!(scores.dims() == [2, CLASSES] && values(&scores)?.iter().all(|score| score.is_finite()));
    Ok(())
}

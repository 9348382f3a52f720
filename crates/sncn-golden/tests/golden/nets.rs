//! The golden cases of networks for small images: layout, logits, loss, gradient probes, and whole training steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::probes::{Model, check_state, deviation, dtype, holds, input, loss_matches, norm_and_probe, passes};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use sncn_core::loss::{cross_entropy, jensen_shannon};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{LayerConfig, Pass, Seed, Vars};
use sncn_golden::{Case, Index, Trial, relative_error};
use sncn_kernels::optim;
use sncn_kernels::simd::Form;
use sncn_vision::backbone::{Blueprint, DenseNet, DenseNetConfig, build};
use std::path::Path;
use std::sync::Mutex;

fn layers(case: &Case) -> Result<Vec<LayerConfig>> {
    if case.params["cnsn_type"].is_null() {
        return Ok(Vec::new());
    }
    let at = match case.text("pos")? {
        "1" => "conv",
        "2" => "norm",
        "3" => "activation",
        name => name,
    };
    let kinds: &[&str] = match case.text("cnsn_type")? {
        "sn" => &["selfnorm"],
        "cn" => &["crossnorm"],
        _ => &["crossnorm", "selfnorm"],
    };
    let layer = |kind: &&str| LayerConfig::new(*kind, at);
    Ok(kinds.iter().map(layer).collect())
}

fn model(case: &Trial) -> Result<Model> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let layers = layers(case)?;
    let blueprint = Blueprint { classes: case.integer("num_classes")?, layers: (&layers).into(), vars: &vars };
    let network = match case.text("arch")? {
        "wideresnet" => build(&format!("wrn{}_{}", case.integer("depth")?, case.integer("widen_factor")?), &blueprint)?,
        "resnext" => {
            let sizes = (case.integer("depth")?, case.integer("cardinality")?, case.integer("base_width")?);
            build(&format!("resnext{}_{}x{}", sizes.0, sizes.1, sizes.2), &blueprint)?
        }
        "resnet50_ibn" => build(&format!("resnet50_ibn_{}", case.text("ibn")?), &blueprint)?,
        "densenet" => Box::new(DenseNet::new(&densenet(case)?, &blueprint)?),
        arch => build(arch, &blueprint)?,
    };
    Model::filled(case, network, vars, 0)
}

fn densenet(case: &Case) -> Result<DenseNetConfig> {
    Ok(DenseNetConfig {
        depth: case.integer("depth")?,
        growth: case.integer("growth_rate")?,
        bottleneck: case.params["bottleneck"].as_bool().context("bottleneck")?,
        reduction: case.number("reduction")?,
    })
}

/// In double precision scores are the golden ones; in single precision they may be `allowed` off, or five times what was recorded.
fn logits_within(case: &Trial, name: &str, got: &Tensor, allowed: f64) -> Result<()> {
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &case.f32(name)?.data);
    case.error(name, error, case.bound(1e-6, allowed.max(5. * deviation(case, name))));
    Ok(())
}

fn logits_match(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    logits_within(case, name, got, 1e-4)
}

fn labels(case: &Case, inputs: &Tensor) -> Result<Vec<u32>> {
    let classes = case.integer("num_classes")?;
    Ok((0..inputs.dim(0)?).map(|i| (i % classes) as u32).collect())
}

// In double precision (tensor operations) gradients are comparable to the last digits; in single precision networks run on
// the fast kernels, as recordings where they can.
fn network_case(case: &Trial) -> Result<()> {
    let model = model(case)?;
    let xs = input(case, &model.salt, "input")?;
    let labels = labels(case, &xs)?;
    let eval = model.network.forward(&xs, &Pass::eval())?;
    logits_match(case, "logits_eval", &eval)?;
    loss_matches(case, "loss_eval", &cross_entropy(&eval, &labels, None)?, case.number("loss_eval")?, 1e-4)?;
    let train = model.network.forward(&xs, &Pass::train(Seed::new(0)).without_dropout())?;
    logits_match(case, "logits_train", &train)?;
    let loss = cross_entropy(&train, &labels, None)?;
    loss_matches(case, "loss_train", &loss, case.number("loss_train")?, 1e-4)?;
    ensure!(model.network.sites() == case.integer("cn_sites")?, "{}: {} sites", case.id, model.network.sites());
    check_state(case, &model, &loss.backward()?)
}

fn step_case(case: &Trial) -> Result<()> {
    let model = model(case)?;
    let xs = input(case, &model.salt, "input")?;
    let labels = labels(case, &xs)?;
    let passes = passes(case)?;
    let clean = Pass::train(Seed::new(0)).without_dropout();
    let n = xs.dim(0)?;
    let loss = match case.text("kind")? {
        "plain" => {
            let logits = model.network.forward(&xs, &passes[0])?;
            logits_match(case, "logits", &logits)?;
            cross_entropy(&logits, &labels, None)?
        }
        "consist" | "augmix" => {
            let augmix = case.text("kind")? == "augmix";
            let (plain, aug) = if augmix {
                let (one, two) = (input(case, &model.salt, "input.aug1")?, input(case, &model.salt, "input.aug2")?);
                let all = model.network.forward(&Tensor::cat(&[&xs, &one, &two], 0)?, &clean)?;
                (all.narrow(0, 0, n)?, Some((all.narrow(0, n, n)?, all.narrow(0, 2 * n, n)?)))
            } else {
                (model.network.forward(&xs, &clean)?, None)
            };
            let one = model.network.forward(&xs, &passes[0])?;
            let two = model.network.forward(&xs, &passes[1])?;
            logits_match(case, "logits_clean", &plain)?;
            logits_match(case, "logits_view1", &one)?;
            logits_match(case, "logits_view2", &two)?;
            let mut loss = (cross_entropy(&plain, &labels, None)? + (jensen_shannon([&plain, &one, &two])? * 10.)?)?;
            if let Some((a, b)) = aug {
                logits_match(case, "logits_aug1", &a)?;
                logits_match(case, "logits_aug2", &b)?;
                loss = (loss + (jensen_shannon([&plain, &a, &b])? * 12.)?)?;
            }
            loss
        }
        "sgd" => return sgd_case(case, &model, &xs, &labels, &passes),
        other => anyhow::bail!("{}: unknown kind {other}", case.id),
    };
    loss_matches(case, "loss", &loss, case.number("loss")?, 1e-4)?;
    check_state(case, &model, &loss.backward()?)
}

/// Steps on one batch.
fn sgd_case(case: &Trial, model: &Model, xs: &Tensor, labels: &[u32], passes: &[Pass]) -> Result<()> {
    let number = |key: &str| case.params["sgd"][key].as_f64().with_context(|| key.to_string());
    let (lr, momentum, weight_decay) = (number("lr")?, number("momentum")?, number("weight_decay")?);
    let nesterov = case.params["sgd"]["nesterov"].as_bool().context("nesterov")?;
    let config = OptimizerConfig::Sgd { momentum, nesterov, weight_decay };
    let vars = model.vars.trainable();
    let mut optimizer = Optimizer::new(config, vars.clone())?;
    let mut momenta: Vec<_> = vars.iter().map(|(_, var)| vec![0f64; var.elem_count()]).collect();
    for (step, pass) in passes.iter().enumerate() {
        let logits = model.network.forward(xs, pass)?;
        let allowed = if step == 0 { 1e-4 } else { 1e-3 };
        logits_within(case, &format!("logits.{step}"), &logits, allowed)?;
        let loss = cross_entropy(&logits, labels, None)?;
        loss_matches(case, &format!("losses.{step}"), &loss, case.params["losses"][step].as_f64().context("losses")?, allowed)?;
        let grads = loss.backward()?;
        if logits.dtype() == DType::F32 {
            optimizer.step(&grads, lr)?;
            continue;
        }
        // the optimisers step in f32
        let rule = optim::Sgd { lr, momentum, nesterov, weight_decay, first: step == 0 };
        for ((name, var), momentum) in vars.iter().zip(&mut momenta) {
            let grad = grads.get(var.as_tensor()).with_context(|| format!("{name} has no gradient"))?;
            let mut values = var.flatten_all()?.to_vec1()?;
            optim::sgd_step(Form::Naive, &rule, &mut values, &grad.flatten_all()?.to_vec1()?, momentum);
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
        }
    }
    let after = model.network.forward(xs, &Pass::eval())?;
    logits_within(case, "logits_eval_after", &after, 1e-3)?;
    let allowed = case.bound(1e-5, (5. * deviation(case, "param_probe")).max(1e-3));
    for want in case.params["state_after"].as_array().context("state_after")? {
        let name = want["name"].as_str().context("name")?;
        let (_, var) = model.vars.all().into_iter().find(|(known, _)| known == name).context("state_after")?;
        let (norm, probe) = norm_and_probe(&model.salt, name, var.as_tensor())?;
        let Some(wanted) = want["value_norm"].as_f64().zip(want["value_probe"].as_f64()) else { continue };
        case.error(name, (norm - wanted.0).abs().max((probe - wanted.1).abs()), allowed * wanted.0 + 1e-5);
    }
    Ok(())
}

/// EfficientNet-Lite0, whose values were computed by the network published for PyTorch (`efficientnet_lite_pytorch` 0.1.0) in f64, with
/// inputs, weights and probes by the golden rules.
pub(crate) fn golden_efficientnet() -> Result<()> {
    let index = Index::at(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/efficientnet"))?;
    index.cases()?.iter().try_for_each(|case| holds(case, network_case))
}

/// The networks whose cases run here.
pub(crate) const NETWORKS: [&str; 6] = ["wideresnet", "resnext", "allconv", "densenet", "resnet50", "resnet50_ibn"];

pub(crate) fn golden_networks_and_training_steps() -> Result<()> {
    let index = Index::load("nets")?;
    let mut cases = index.cases()?;
    let mut known = Vec::new();
    for case in cases.drain(..) {
        known.extend(NETWORKS.contains(&case.text("arch")?).then_some(case));
    }
    // operations in double precision use one thread: the cases share all of them, the last, which are the largest, first
    let left = Mutex::new(known);
    let next = || left.lock().ok().and_then(|mut left| left.pop());
    let work = || -> Result<()> {
        while let Some(case) = next() {
            match case.op {
                "network" => holds(&case, network_case)?,
                "method_step" => holds(&case, step_case)?,
                other => bail!("no test of {other:?}"),
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

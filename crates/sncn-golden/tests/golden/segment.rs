//! The golden cases of segmentation networks: layout, scores, loss, gradient probes, and a training step with CrossNorm.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::probes::{Model, check_state, deviation, dtype, holds, input, is_unused, loss_matches, passes};
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use sncn_core::loss::cross_entropy;
use sncn_core::{LayerConfig, Pass, Seed, Vars};
use sncn_golden::{Case, Index, Trial};
use sncn_train::data::VOID;
use sncn_vision::backbone::{Blueprint, segment};

fn model(case: &Trial) -> Result<Model> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let layers = [LayerConfig::new("crossnorm", case.text("cn_pos")?), LayerConfig::new("selfnorm", case.text("pos")?)];
    let layers = if case.text("cnsn_type")? == "sn" { &layers[1..] } else { &layers[..] };
    let network = segment::build(
        case.text("arch")?,
        &Blueprint { classes: case.integer("num_classes")?, layers: layers.into(), vars: &vars },
    )?;
    let state = case.params["state"].as_array().context("state")?;
    let unused = state.iter().filter(|want| is_unused(want["name"].as_str().unwrap_or_default()));
    let size =
        |want: &serde_json::Value| -> u64 { want["shape"].as_array().unwrap().iter().map(|v| v.as_u64().unwrap()).product() };
    Model::filled(case, network, vars, unused.map(size).sum::<u64>() as usize)
}

/// Classes in turn, the first rows void.
fn labels(case: &Case, xs: &Tensor) -> Result<Vec<u32>> {
    let (_, h, w, _) = xs.dims4()?;
    let (classes, void) = (case.integer("num_classes")?, case.integer("ignored_rows")?);
    let label = |i: usize| if i / w % h < void { VOID } else { (i % classes) as u32 };
    Ok((0..xs.dim(0)? * h * w).map(label).collect())
}

/// The stored values of one output (N, H, W, K), its flat indices those of (N, K, H, W).
fn scores_match(case: &Trial, name: &str, got: &Tensor, recorded: f64) -> Result<()> {
    let got = got.to_dtype(DType::F64)?.permute((0, 3, 1, 2))?.contiguous()?;
    let (_, k, ..) = got.dims4()?;
    let values: Vec<f64> = got.flatten_all()?.to_vec1()?;
    let most = values.iter().fold(0f64, |most, v| most.max(v.abs()));
    let allowed = case.bound(1e-6, (5. * recorded).max(1e-4)) * most;
    let near = |what: &str, got: f64, want: f64| case.error(&format!("{name}.{what}"), (got - want).abs(), allowed);
    let probes = case.i64(&format!("{name}.probe_index"))?.data;
    for (&at, &want) in probes.iter().zip(&case.f32(&format!("{name}.probe_value"))?.data) {
        near("probe_value", values[at as usize], f64::from(want));
    }
    if let (Ok(means), Ok(deviations)) = (case.f32(&format!("{name}.class_mean")), case.f32(&format!("{name}.class_std"))) {
        let by_class = got.transpose(0, 1)?.contiguous()?.reshape((k, values.len() / k))?.to_vec2::<f64>()?;
        for ((xs, &mean), &deviation) in by_class.iter().zip(&means.data).zip(&deviations.data) {
            let n = xs.len() as f64;
            let m = xs.iter().sum::<f64>() / n;
            near("class_mean", m, f64::from(mean));
            near("class_std", (xs.iter().map(|x| (x - m).powi(2)).sum::<f64>() / (n - 1.)).sqrt(), f64::from(deviation));
        }
    }
    Ok(())
}

/// Scores of both heads match, and so do their losses; the sum of the losses.
fn pass_matches(case: &Trial, model: &Model, xs: &Tensor, pass: &Pass, names: [&str; 2], loss: &str) -> Result<Tensor> {
    let (main, auxiliary) = model.network.forward_auxiliary(xs, pass)?;
    let auxiliary = auxiliary.context("an auxiliary head")?;
    let recorded =
        |name: &str| ["", "logits_"].map(|before| deviation(case, &format!("{before}{name}"))).into_iter().fold(1e-5, f64::max);
    scores_match(case, names[0], &main, recorded(names[0]).max(recorded(&format!("{}.probe_value", names[0]))))?;
    scores_match(case, names[1], &auxiliary, recorded(names[1]).max(recorded(&format!("{}.probe_value", names[1]))))?;
    let labels = labels(case, xs)?;
    let own = cross_entropy(&main, &labels, Some(VOID))?;
    if !pass.train {
        // evaluation takes the loss of the main head alone
        loss_matches(case, loss, &own, case.number(loss)?, 1e-4)?;
        return Ok(own);
    }
    let whole = (own + (cross_entropy(&auxiliary, &labels, Some(VOID))? * case.number("aux_weight")?)?)?;
    loss_matches(case, loss, &whole, case.number(loss)?, 1e-4)?;
    Ok(whole)
}

fn run(case: &Trial) -> Result<()> {
    let model = model(case)?;
    let xs = input(case, &model.salt, "input")?;
    ensure!(model.network.sites() == case.params["cn_sites"].as_u64().unwrap_or(model.network.sites() as u64) as usize);
    let loss = if case.op == "network" {
        pass_matches(case, &model, &xs, &Pass::eval(), ["eval", "eval_aux"], "loss_eval")?;
        let (whole, _) = model.network.forward_auxiliary(&xs, &Pass::eval())?;
        let alone = model.network.forward(&xs, &Pass::eval())?;
        ensure!(
            (whole - alone)?.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>()? < 1e-5,
            "{}: the main head alone",
            case.id
        );
        let clean = Pass::train(Seed::new(0)).without_dropout();
        pass_matches(case, &model, &xs, &clean, ["train", "train_aux"], "loss_train")?
    } else {
        pass_matches(case, &model, &xs, &passes(case)?[0], ["out", "aux"], "loss")?
    };
    check_state(case, &model, &loss.backward()?)
}

/// The network whose cases run here.
pub(crate) const NETWORK: &str = "fcn_resnet50";

pub(crate) fn golden_segmentation_networks_and_steps() -> Result<()> {
    let index = Index::load("nets")?;
    for case in &index.cases()? {
        if case.text("arch")? == NETWORK {
            holds(case, run)?;
        }
    }
    Ok(())
}

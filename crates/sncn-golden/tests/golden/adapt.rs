//! Adaptation at test time: BatchNorm's statistics in every form, steps of TENT, temperature scaling.

use crate::tiny::Tiny;
use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use sncn_core::layer::BatchNorm;
use sncn_core::loss::{entropy, softmax, value};
use sncn_core::reference::forced;
use sncn_core::test_time::{NormForm, NormPlace, TestTime};
use sncn_core::{BuildContext, FeatureMap, Layer, Network, Pass, Seed, Vars, backward};
use sncn_golden::{Index, Rounding, Trial, holds, relative_error};
use sncn_train::calibration::Calibration;
use sncn_train::temperature::{Scored, fit};
use sncn_train::{Adapt, Adapting};

/// The operations whose cases run here.
pub(crate) const OPERATIONS: [&str; 3] = ["test_time_stats", "tent", "temperature_scaling"];

/// Moved inputs say how good results in single precision can be.
const ROUNDING: Rounding = Rounding { units: 1., trials: 4, times: 5. };

fn dtype(case: &Trial) -> DType {
    if case.is_double() { DType::F64 } else { DType::F32 }
}

/// A tensor of a case; images get their channels last.
fn tensor(case: &Trial, name: &str) -> Result<Tensor> {
    let array = case.f32(name)?;
    let t = Tensor::from_vec(case.values(name, &array.data), array.shape, &Device::Cpu)?.to_dtype(dtype(case))?;
    Ok(if name.starts_with("x.") { t.permute((0, 2, 3, 1))?.contiguous()? } else { t })
}

fn check(case: &Trial, name: &str, got: &Tensor) -> Result<()> {
    let want = case.f32(name)?;
    ensure!(got.elem_count() == want.data.len(), "{}: {name} has shape {:?}, wanted {:?}", case.id, got.shape(), want.shape);
    let got = if name.starts_with("y.") { got.permute((0, 3, 1, 2))?.contiguous()? } else { got.clone() };
    let error = relative_error(&got.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?, &want.data);
    let recorded = case.params["float32_deviation"]["max"].as_f64().unwrap_or(0.);
    case.error(name, error, case.bound(1e-6, (5. * recorded).max(1e-5)));
    Ok(())
}

/// The test-time statistics of a case.
fn test_time(case: &Trial) -> Result<TestTime> {
    let form = match case.text("form")? {
        "batch" => NormForm::Batch,
        "batch_unbiased" => NormForm::BatchUnbiased,
        "prior" => NormForm::Prior { instances: case.number("prior_n")?, batch: case.f32("x.0")?.shape[0] },
        "cumulative" => NormForm::Cumulative,
        "whole_set" => NormForm::WholeSet,
        other => anyhow::bail!("{}: no form {other:?}", case.id),
    };
    Ok(TestTime::new(form, NormPlace::Body))
}

/// Mean and variance by which x was normalised to y, from the two positions of every channel that lie furthest apart.
fn used(xs: &Tensor, ys: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<[Tensor; 2]> {
    let channels = xs.dim(3)?;
    let columns = |t: &Tensor| -> Result<Vec<Vec<f64>>> {
        Ok(t.reshape(((), channels))?.t()?.contiguous()?.to_dtype(DType::F64)?.to_vec2()?)
    };
    let (xs, ys) = (columns(xs)?, columns(ys)?);
    let (weight, bias) = (weight.to_dtype(DType::F64)?.to_vec1::<f64>()?, bias.to_dtype(DType::F64)?.to_vec1::<f64>()?);
    let (mut mean, mut variance) = (Vec::new(), Vec::new());
    for (c, (xs, ys)) in xs.iter().zip(&ys).enumerate() {
        let at = |better: fn(f64, f64) -> bool| (0..xs.len()).fold(0, |best, i| if better(xs[i], xs[best]) { i } else { best });
        let (low, high) = (at(|one, two| one < two), at(|one, two| one > two));
        let scale = (ys[high] - ys[low]) / (xs[high] - xs[low]);
        mean.push(xs[low] - (ys[low] - bias[c]) / scale);
        variance.push((weight[c] / scale).powi(2) - eps);
    }
    Ok([Tensor::new(mean, &Device::Cpu)?, Tensor::new(variance, &Device::Cpu)?])
}

fn statistics_case(case: &Trial, recordable: bool) -> Result<()> {
    let (weight, eps) = (tensor(case, "weight")?, case.number("eps")?);
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let norm = BatchNorm::with(&BuildContext::new(weight.elem_count(), vars.builder()), eps, 0.1)?;
    let zero = Tensor::zeros((), DType::I64, &Device::Cpu)?;
    vars.load(|name| if name.ends_with("tracked") { Some(zero.clone()) } else { tensor(case, name).ok() })?;
    let batches = (0..case.integer("batches")?).map(|s| tensor(case, &format!("x.{s}"))).collect::<Result<Vec<_>>>()?;
    let forward = |xs: &Tensor, test_time: &TestTime| -> Result<Tensor> {
        let pass = Pass::eval().with_test_time(test_time);
        Ok(norm.on_map(&FeatureMap::from_tensor(xs, recordable, &pass)?, &pass)?.to_tensor()?)
    };
    let mut statistics = test_time(case)?;
    if case.text("form")? == "whole_set" {
        for xs in &batches {
            forward(xs, &statistics)?;
        }
        statistics = statistics.gathered();
    }
    for (s, xs) in batches.iter().enumerate() {
        let ys = forward(xs, &statistics)?;
        check(case, &format!("y.{s}"), &ys)?;
        let [mean, variance] = used(xs, &ys, &weight, &tensor(case, "bias")?, eps)?;
        check(case, &format!("mean.{s}"), &mean)?;
        check(case, &format!("var.{s}"), &variance)?;
    }
    ensure!(statistics.adapted() == 1, "{}: {} layers adapted", case.id, statistics.adapted());
    for (name, var) in vars.all().iter().filter(|(name, _)| name.starts_with("running")) {
        check(case, name, var.as_tensor())?;
    }
    Ok(())
}

pub(crate) fn golden_test_time_statistics() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "test_time_stats") {
        for recordable in [true, false] {
            holds(case, true, &ROUNDING, |trial| statistics_case(trial, recordable))?;
        }
        holds(case, true, &ROUNDING, |trial| forced(|| statistics_case(trial, true))).context("reference implementation")?;
    }
    Ok(())
}

fn tent_case(case: &Trial) -> Result<()> {
    let vars = Vars::new(Seed::new(0), dtype(case), &Device::Cpu);
    let network = Tiny::new(case, &vars)?;
    let zero = Tensor::zeros((), DType::I64, &Device::Cpu)?;
    vars.load(|name| if name.ends_with("tracked") { Some(zero.clone()) } else { tensor(case, name).ok() })?;
    let adam = &case.params["adam"];
    let settings = serde_json::json!({"kind": "tent", "lr": adam["lr"], "episodic": case.params["episodic"], "optimizer":
        {"kind": "adam", "betas": adam["betas"], "eps": adam["eps"], "weight_decay": adam["weight_decay"]}});
    let adapt = Adapt::parse(&settings.to_string())?.resolved(1)?;
    let adapting = Adapting::new(&network, &vars, &adapt);
    adapting.begin()?;
    for step in 0..case.integer("steps")? {
        let xs = tensor(case, &format!("x.{step}"))?;
        let statistics = TestTime::new(NormForm::Batch, NormPlace::Body);
        let entropies = entropy(&network.forward(&xs, &Pass::adapting(&statistics))?)?;
        check(case, &format!("entropy.{step}"), &entropies)?;
        let (loss, want) = (entropies.mean_all()?, case.params["loss"][step].as_f64().context("loss")?);
        case.error("loss", (value(&loss)? / want - 1.).abs(), case.bound(1e-6, 1e-5));
        let gradients = backward(&loss)?;
        for (name, var) in vars.trainable() {
            let name = format!("d_{name}.{step}");
            if case.has(&name) {
                check(case, &name, gradients.get(var.as_tensor()).context("no gradient")?)?;
            }
        }
        check(case, &format!("logits.{step}"), &adapting.forward(&xs, &Pass::eval())?)?;
        for (name, var) in vars.all() {
            let after = format!("{name}.after.{step}");
            match case.has(&after) {
                true => check(case, &after, var.as_tensor())?,
                // nothing else changes
                false if !name.ends_with("tracked") => check(case, &name, var.as_tensor())?,
                false => {}
            }
        }
    }
    drop(adapting);
    vars.trainable().iter().try_for_each(|(name, var)| check(case, name, var.as_tensor()))
}

pub(crate) fn golden_tent_steps() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "tent") {
        holds(case, true, &ROUNDING, tent_case)?;
        holds(case, true, &ROUNDING, |trial| forced(|| tent_case(trial))).context("reference implementation")?;
    }
    Ok(())
}

pub(crate) fn golden_temperatures() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "temperature_scaling") {
        let (logits, labels) = (case.f32("logits")?, case.i64("labels")?.data);
        let classes = logits.shape[1];
        let rows = logits.data.chunks_exact(classes).map(|row| row.iter().map(|&score| f64::from(score)).collect::<Vec<_>>());
        let scored: Vec<Scored> = rows.zip(&labels).map(|(row, &label)| (row, label as usize)).collect();
        let found = fit(&scored)?;
        let calibration = |temperature: f64| -> Result<Calibration> {
            let mut calibration = Calibration::default();
            for (row, label) in &scored {
                let row = Tensor::new(vec![row.clone()], &Device::Cpu)?.affine(temperature.recip(), 0.)?;
                calibration.add(&softmax(&row)?.to_vec2::<f64>()?[0], *label)?;
            }
            Ok(calibration)
        };
        let (before, after) = (calibration(1.)?, calibration(found.temperature)?);
        for (name, got) in [
            ("temperature", found.temperature),
            ("nll_before", found.before),
            ("nll_after", found.after),
            ("nll_before", before.nll()),
            ("nll_after", after.nll()),
            ("ece_before", before.ece()),
            ("ece_after", after.ece()),
        ] {
            let want = case.number(name)?;
            ensure!((got / want - 1.).abs() <= 1e-9, "{}: {name} is {got}, wanted {want}", case.id);
        }
    }
    Ok(())
}

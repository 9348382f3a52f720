//! The golden metrics: segmentation, calibration, classification, corruption errors.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use serde_json::Value;
use sncn_core::loss::softmax;
use sncn_golden::Index;
use sncn_train::calibration::Calibration;
use sncn_train::confusion::Confusion;
use sncn_train::corruption_error::{ALEXNET, CorruptionErrors, SEVERITIES};
use sncn_train::rank::{Ranks, rank};

/// The metrics of `relatives.json` whose cases run here.
pub(crate) const RELATIVES: [&str; 2] = ["mce_alexnet", "topk_error"];
/// The metrics whose cases run here.
pub(crate) const METRICS: [&str; 4] = ["segmentation", "ece", "classification", "mce"];

fn flat(value: &Value) -> Vec<u32> {
    match value.as_array() {
        Some(values) => values.iter().flat_map(flat).collect(),
        None => vec![value.as_u64().unwrap() as u32],
    }
}

fn close(case: &Value, key: &str, got: f64) -> Result<()> {
    let want = case[key].as_f64().with_context(|| key.to_string())?;
    ensure!((got - want).abs() <= 1e-9, "{}: {key} is {got}, wanted {want}", case["id"]);
    Ok(())
}

fn all_close(case: &Value, key: &str, got: &[f64]) -> Result<()> {
    let want = case[key].as_array().with_context(|| key.to_string())?;
    ensure!(want.len() == got.len(), "{}: {key} has {} values", case["id"], want.len());
    for (got, want) in got.iter().zip(want) {
        ensure!((got - want.as_f64().unwrap()).abs() <= 1e-9, "{}: {key} is {got}, wanted {want}", case["id"]);
    }
    Ok(())
}

pub(crate) fn golden_metrics() -> Result<()> {
    let json = sncn_golden::json("metrics.json")?;
    for case in json["cases"].as_array().context("cases")? {
        let classes = || case["num_classes"].as_u64().context("num_classes").map(|n| n as usize);
        match case["op"].as_str().context("op")? {
            "segmentation" => {
                let ignore = case["ignore_index"].as_u64().context("ignore_index")? as u32;
                let mut confusion = Confusion::new(classes()?).ignoring(ignore);
                for batch in case["batches"].as_array().context("batches")? {
                    confusion.add(&flat(&batch["target"]), &flat(&batch["prediction"]))?;
                }
                all_close(case, "iou", &confusion.iou())?;
                all_close(case, "acc", &confusion.class_accuracy())?;
                close(case, "mIoU", confusion.mean_iou())?;
                close(case, "mIoU_present_classes", confusion.mean_iou_present())?;
                close(case, "allAcc", confusion.accuracy())?;
            }
            "ece" => {
                let rows = case["logits"].as_array().context("logits")?;
                let values: Vec<f64> =
                    rows.iter().flat_map(|row| row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap())).collect();
                let probabilities = softmax(&Tensor::from_vec(values, (rows.len(), ()), &Device::Cpu)?)?.to_vec2::<f64>()?;
                let mut calibration = Calibration::default();
                for (row, label) in probabilities.iter().zip(flat(&case["labels"])) {
                    calibration.add(row, label as usize)?;
                }
                close(case, "ece", calibration.ece())?;
                close(case, "nll", calibration.nll())?;
                close(case, "brier_sum_over_classes", calibration.brier())?;
                // the bins hold what the error is computed from
                let (bins, items) = (calibration.bins(), rows.len() as f64);
                let gaps = bins.iter().map(|bin| bin.count as f64 / items * (bin.accuracy - bin.confidence).abs());
                close(case, "ece", gaps.sum())?;
            }
            "classification" => {
                let mut confusion = Confusion::new(classes()?);
                confusion.add(&flat(&case["labels"]), &flat(&case["predictions"]))?;
                all_close(case, "f1_per_class", &confusion.f1())?;
                close(case, "macro_f1_all_classes", confusion.macro_f1())?;
                close(case, "macro_f1_present_classes", confusion.macro_f1_present())?;
                close(case, "mcc", confusion.mcc())?;
                close(case, "accuracy", confusion.accuracy())?;
            }
            "mce" => {
                let floats =
                    |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
                let mut errors = CorruptionErrors::default();
                for (name, row) in (0..).zip(case["errors_fraction"].as_array().context("errors_fraction")?) {
                    floats(row).iter().for_each(|&error| errors.add(&format!("{name}"), error));
                }
                let percent = |values: &[f64]| values.iter().map(|value| 100. * value).collect::<Vec<_>>();
                close(case, "mean_error_percent", 100. * errors.mean())?;
                all_close(case, "per_corruption_error_percent", &percent(&errors.by_corruption()))?;
                let normalised = percent(&errors.normalised(&floats(&case["alexnet_error_fraction"]))?);
                all_close(case, "normalised_ce_percent", &normalised)?;
                close(case, "mce_normalised_percent", normalised.iter().sum::<f64>() / normalised.len() as f64)?;
            }
            other => bail!("unknown metric {other}"),
        }
    }
    Ok(())
}

pub(crate) fn golden_errors_divided_by_those_of_alexnet() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "mce_alexnet") {
        let floats = |value: &Value| value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect::<Vec<_>>();
        let names = case.params["corruptions"].as_array().context("corruptions")?;
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        let wanted: Vec<(&str, f64)> = names.iter().copied().zip(floats(&case.params["alexnet_error_fraction"])).collect();
        ensure!(ALEXNET.errors == *wanted, "{}: other errors of AlexNet than {:?}", case.id, ALEXNET.errors);
        close(case.params, "alexnet_clean_error_percent", 100. * ALEXNET.clean)?;
        for net in case.params["nets"].as_array().context("nets")? {
            let mut errors = CorruptionErrors::default();
            for (name, top1) in names.iter().zip(floats(&net["top1_percent"])) {
                (0..SEVERITIES).for_each(|_| errors.add(name, 1. - top1 / 100.));
            }
            let clean = net["clean_top1_percent"].as_f64().context("clean_top1_percent")?;
            let found = errors.normalised_by(&ALEXNET, Some(1. - clean / 100.))?;
            ensure!(found.is_whole && errors.is_benchmark(), "{}: not whole", case.id);
            let percent = |values: &[f64]| values.iter().map(|value| 100. * value).collect::<Vec<_>>();
            all_close(net, "ce_percent", &percent(&found.by_corruption))?;
            all_close(net, "relative_ce_percent", &percent(&found.relative_by_corruption))?;
            close(net, "mce_percent", 100. * found.mean())?;
            close(net, "relative_mce_percent", 100. * found.relative_mean())?;
            close(net, "mean_top1_percent", 100. * (1. - errors.mean()))?;
            let told = net["published_mce_percent"].as_f64().context("published_mce_percent")?;
            ensure!((100. * found.mean() - told).abs() <= 0.01, "{}: published is {told}", case.id);
        }
    }
    Ok(())
}

pub(crate) fn golden_top_k_errors() -> Result<()> {
    let index = Index::load("relatives")?;
    for case in index.cases()?.iter().filter(|case| case.op == "topk_error") {
        let (logits, labels, ranks) = (case.f32("logits")?, case.i64("labels")?.data, case.i64("rank")?.data);
        let classes = logits.shape[1];
        let mut found = Ranks::new(classes);
        for ((row, &label), &wanted) in logits.data.chunks_exact(classes).zip(&labels).zip(&ranks) {
            let row: Vec<f64> = row.iter().map(|&score| f64::from(score)).collect();
            let rank = rank(&row, label as usize, None);
            ensure!(rank == wanted as usize, "{}: rank {rank}, wanted {wanted}", case.id);
            found.add(rank);
        }
        for (k, wanted) in case.params["error_percent"].as_object().context("error_percent")? {
            let (error, wanted) = (100. * found.error(k.parse()?), wanted.as_f64().context("an error")?);
            ensure!((error - wanted).abs() <= 1e-9, "{}: top-{k} error {error}, wanted {wanted}", case.id);
        }
    }
    Ok(())
}

//! The tables in `models/`: every row can be built, and the published rows are the published commands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sncn_train::harness::TASKS;
use sncn_train::harness::{Run, Table};
use sncn_vision::classify::setup;
use sncn_vision::segment;
use std::path::{Path, PathBuf};

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

#[test]
fn every_row_of_every_table_builds_its_network_and_augmentation() -> Result<()> {
    let mut rows = 0;
    for file in std::fs::read_dir(models())? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let table = Table::read(&path)?;
        for run in &table.runs {
            let at = || format!("{}, {}", path.display(), run.name);
            match table.file.task.as_str() {
                "classify" => {
                    setup::augment(run).with_context(at)?;
                    setup::network(run, 10, 0).with_context(at)?;
                }
                "segment" => {
                    segment::setup::settings(run).with_context(at)?;
                    let (_network, vars) = segment::setup::network(run, 19, 0).with_context(at)?;
                    run.optimizer(&vars).with_context(at)?;
                }
                // of another program, whose tests build it
                task if TASKS.iter().any(|(known, _)| *known == task) => continue,
                task => anyhow::bail!("{}: task {task}", at()),
            }
            rows += 1;
        }
    }
    ensure!(rows > 0, "no row was built");
    Ok(())
}

fn backbone(network: &str) -> &str {
    match network {
        "densenet" => "densenet40_12",
        "resnext" => "resnext29_4x32",
        "wideresnet" => "wrn40_2",
        other => other,
    }
}

fn position(name: &str) -> &str {
    match name {
        "1" => "conv",
        "2" => "norm",
        "3" => "activation",
        other => other,
    }
}

/// The run as the published commands are written down.
fn described(run: &Run) -> Result<Value> {
    let layer = |kind: &str| run.layers.iter().find(|layer| layer.kind == kind);
    let (cross, own) = (layer("crossnorm"), layer("selfnorm"));
    ensure!(run.layers.len() == usize::from(cross.is_some()) + usize::from(own.is_some()), "{}: other layers", run.name);
    ensure!(run.augment == Value::Bool(true) || run.augment == json!({"kind": "augmix"}), "{}: other augmentation", run.name);
    let optimizer = serde_json::to_value(&run.optimizer)?;
    let objective = serde_json::to_value(run.objective)?;
    let augmix = objective["kind"] == "augmix";
    ensure!(augmix == (run.augment != Value::Bool(true)), "{}: half an AugMix", run.name);
    ensure!(!augmix || objective["weight"] == 12., "{}: AugMix's weight", run.name);
    let consistency = match objective["kind"].as_str() {
        Some("consistency") => objective["weight"].clone(),
        _ => objective["consistency"].clone(),
    };
    let setting = |name: &str, usual: Value| cross.map(|layer| layer.settings.get(name).cloned().unwrap_or(usual));
    let at = own.or(cross).map(|layer| layer.at.clone()).context("no layer")?;
    Ok(json!({
        "backbone": run.backbone, "epochs": run.epochs, "batch_size": run.batch_size, "lr": run.lr,
        "momentum": optimizer["momentum"], "nesterov": optimizer["nesterov"], "weight_decay": optimizer["weight_decay"],
        "selfnorm": own.is_some(), "crossnorm": cross.is_some(), "position": at, "crop": setting("crop", json!("neither")),
        "beta": setting("beta", json!(1.)).and_then(|beta| beta.as_f64()), "mix_probability": run.mix.map(|mix| mix.probability),
        "active": run.mix.map(|mix| mix.active), "consistency_weight": consistency.as_f64(), "augmix": augmix,
    }))
}

#[test]
fn the_rows_of_the_paper_are_the_published_commands() -> Result<()> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/published-commands.json"))?;
    let commands: Value = serde_json::from_str(&text)?;
    let commands = commands["rows"].as_array().context("rows")?;
    for command in commands {
        let text = |key: &str| command[key].as_str().with_context(|| key.to_string());
        let name = format!("{}/{}", text("network")?, text("variant")?);
        let run = Table::read(&models().join(format!("{}.json", text("dataset")?)))?;
        let run = run.row(&name)?;
        ensure!(run.train == text("dataset")?, "{name}: trains on {}", run.train);
        ensure!(serde_json::to_value(&run.schedule)? == json!({"kind": "cosine", "floor": 1e-6}), "{name}: schedule");
        let number = |key: &str| command[key].as_f64();
        let wanted = json!({
            "backbone": backbone(text("network")?), "epochs": command["epochs"], "batch_size": command["batch_size"],
            "lr": number("lr"), "momentum": number("momentum"), "nesterov": command["nesterov"],
            "weight_decay": number("weight_decay"), "selfnorm": command["selfnorm"],
            "crossnorm": command["crossnorm"] == "feature", "position": position(text("position")?), "crop": command["crop"],
            "beta": number("beta"), "mix_probability": number("mix_probability"), "active": command["active"],
            "consistency_weight": number("consistency_weight"), "augmix": command["augmix"],
        });
        ensure!(described(run)? == wanted, "{name}: {}, published: {wanted}", described(run)?);
    }
    ensure!(commands.len() == 40, "{} commands", commands.len());
    Ok(())
}

//! The tables in `models/`: every row can be built, and the published rows are the published commands.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sncn_record::TASKS;
use sncn_text::dataset::reviews;
use sncn_text::sentiment::Sentiment;
use sncn_text::{Vocabulary, VocabularyConfig};
use sncn_train::harness::{Rebuild, Table, Task};
use sncn_vision::classify::{Classify, Settings};
use sncn_vision::segment::Segment;
use std::path::{Path, PathBuf};

type Run = sncn_train::harness::Run<Settings>;

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models")
}

/// Builds the network and the optimiser of every row of a table; `folder` has what belongs beside a checkpoint.
fn built<T: Task>(path: &Path, classes: usize, folder: &Path) -> Result<usize> {
    let table = Table::<T>::read(path)?;
    let classes: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    // a pretrained encoder's folder is not here
    let rows: Vec<_> = table.runs.iter().filter(|run| run.backbone != "pretrained").collect();
    let mut seen = Vec::new();
    for run in &rows {
        // rows that differ in data alone have one network
        let network = (&run.backbone, &run.layers, &run.norm, &run.mix, &run.optimizer, &run.lr_factors);
        if seen.contains(&network) {
            continue;
        }
        seen.push(network);
        let (_model, vars) = T::rebuild(&Rebuild { run, seed: 0, classes: &classes, folder })?;
        run.optimizer(&vars).with_context(|| format!("{}, {}", path.display(), run.name))?;
    }
    Ok(rows.len())
}

#[test]
fn every_row_of_every_table_builds_its_network_and_optimiser() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let texts = reviews::films("train", 50);
    let all = texts.examples.iter().map(|example| example.text.as_str());
    let vocabulary = Vocabulary::new(&VocabularyConfig::Words { size: 100 }, all)?;
    std::fs::write(folder.path().join("tokenizer.json"), vocabulary.to_json()?)?;
    let mut rows = [0; TASKS.len()];
    for file in std::fs::read_dir(models())? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let other = |name: &str| Ok(std::fs::read_to_string(sncn_record::beside(&path, name))?);
        let table = sncn_record::Table::parse_beside(&std::fs::read_to_string(&path)?, &other)?;
        match table.task.as_str() {
            "classify" => rows[0] += built::<Classify>(&path, 10, folder.path())?,
            "segment" => rows[1] += built::<Segment>(&path, 19, folder.path())?,
            "sentiment" => rows[2] += built::<Sentiment>(&path, 2, folder.path())?,
            task => anyhow::bail!("{}: task {task}", path.display()),
        }
    }
    ensure!(rows.iter().all(|&rows| rows > 0), "rows of each task: {rows:?}");
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
        let run = Table::<Classify>::read(&models().join(format!("{}.json", text("dataset")?)))?;
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

//! The models that come with the project, measured again on a part of their data, where it is there.

use crate::common::{segment, sentiment, sncn};
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use serde_json::Value;
use sncn_train::DataDir;
use sncn_train::checkpoint::Checkpoint;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn data() -> DataDir {
    DataDir { path: std::env::var_os("SNCN_DATA").map(PathBuf::from) }
}

/// The names of the models with their cards.
fn cards() -> Result<Vec<(String, Value)>> {
    let mut cards = Vec::new();
    for entry in fs::read_dir(root().join("models/zoo"))? {
        let entry = entry?;
        let card = serde_json::from_str(&fs::read_to_string(entry.path().join("card.json"))?)?;
        cards.push((entry.file_name().to_string_lossy().into_owned(), card));
    }
    Ok(cards)
}

/// The program of a model, with its `robustness` of a small part of what is under test: the shifts, and the option that names the set.
fn robustness(name: &str) -> Result<(Command, &'static str)> {
    let weights = root().join("models/zoo").join(name).join("model.safetensors");
    let (program, shifts, set) = match Checkpoint::read(&weights)?.header.task.as_str() {
        "segment" => (segment(), ["--corruptions", "brightness"], "--data"),
        "sentiment" => (sentiment(), ["--shifts", "case"], "--texts"),
        _ => (sncn(), ["--corruptions", "brightness"], "--images"),
    };
    let mut command = program;
    command.current_dir(root()).arg("robustness").args(shifts).args(["--severities", "3", "--json", "--model", name]);
    Ok((command, set))
}

/// What a card was measured on, on this machine.
fn located(set: &str) -> Result<PathBuf> {
    Ok(if set.contains('/') { data().path.context("SNCN_DATA")?.join(set) } else { PathBuf::from(set) })
}

/// What is missing: the data of a model.
pub(crate) fn missing() -> Option<String> {
    let Some(folder) = data().path else { return Some("SNCN_DATA is not set".to_string()) };
    let cards = cards().unwrap_or_default();
    let mut sets = cards.iter().filter_map(|(_, card)| card["test"].as_str());
    let is_there = |set: &str| match set {
        set if set.contains('/') => folder.join(set).is_dir(),
        "cifar10" => sncn_vision::dataset::open(set, &data()).is_ok(),
        _ => folder.join(set.split('-').next().unwrap_or(set)).is_dir(),
    };
    sets.find(|set| !is_there(set)).map(|set| format!("{set}: not below {}", folder.display()))
}

pub(crate) fn every_model_does_what_its_card_says() -> Result<()> {
    for (name, card) in cards()? {
        let results = card["results"].as_array().context("results")?;
        // of the set as it is, not shifted: the error or what stands for it
        let is_main = |one: &&Value| {
            ["images", "texts"].iter().any(|set| one["set"] == *set)
                && ["error", "miou"].iter().any(|metric| one["metric"] == *metric)
        };
        let part = results.iter().find(is_main).context("no error and no mIoU of images or texts")?;
        let (mut command, set) = robustness(&name)?;
        command.arg(set).arg(located(card["test"].as_str().context("test")?)?);
        let pixels = part["metric"] == "miou";
        if !pixels {
            command.args(["--limit", &part["n"].to_string()]);
        }
        let output = command.arg("--data-dir").arg(data().path.context("SNCN_DATA")?).assert().success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let same = |line: &&Value| line["split"] == part["set"] && line["metric"] == part["metric"];
        let found = lines.iter().find(same).context("the number is not measured")?;
        let value = |line: &Value| line["value"].as_f64().context("value");
        // other instruction sets round otherwise
        let far = (value(found)? - value(part)?).abs();
        let most = if pixels { 1e-3 } else { 2. / part["n"].as_f64().context("n")? };
        ensure!(far <= most, "{name}: {found} against {part}");
    }
    Ok(())
}

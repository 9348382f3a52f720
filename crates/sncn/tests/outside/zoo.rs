//! The models that come with the project, measured again on a part of their data, where it is there.

use crate::common::sncn;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sncn_train::DataDir;
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

/// What is missing: the data of a model.
pub(crate) fn missing() -> Option<String> {
    let cards = cards().unwrap_or_default();
    let sets = cards.iter().filter_map(|(_, card)| card["data"].as_str());
    sets.into_iter().find_map(|set| sncn_vision::dataset::open(set, &data()).err()).map(|error| format!("{error:#}"))
}

pub(crate) fn every_model_does_what_its_card_says() -> Result<()> {
    for (name, card) in cards()? {
        let results = card["results"].as_array().context("results")?;
        let part = results.iter().find(|one| one["set"] == "images" && one["metric"] == "error").context("error")?;
        let mut command = sncn();
        command.current_dir(root()).args([
            "robustness",
            "--corruptions",
            "brightness",
            "--severities",
            "3",
            "--json",
            "--model",
            &name,
        ]);
        command.args(["--images", card["data"].as_str().context("data")?, "--limit", &part["n"].to_string()]);
        let output = command.arg("--data-dir").arg(data().path.context("SNCN_DATA")?).assert().success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let found = lines.iter().find(|line| line["split"] == "images" && line["metric"] == "error").context("no error")?;
        let value = |line: &Value| line["value"].as_f64().context("value");
        // other instruction sets round otherwise
        let far = (value(found)? - value(part)?).abs();
        ensure!(far <= 2. / part["n"].as_f64().context("n")?, "{name}: {found} against {part}");
    }
    Ok(())
}

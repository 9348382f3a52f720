//! The models that come with the project, measured again on a part of their data, where it is there.

use crate::common::{segment, sentiment, sncn};
use anyhow::{Context, Result, ensure};
use assert_cmd::Command;
use serde_json::Value;
use sncn_record::card::{CARD, Card, FOLDER, Number};
use sncn_record::task::{SEGMENT, Task};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn data() -> Option<PathBuf> {
    std::env::var_os("SNCN_DATA").map(PathBuf::from)
}

/// The names of the models with their cards.
fn cards() -> Result<Vec<(String, Card)>> {
    let mut cards = Vec::new();
    for entry in fs::read_dir(root().join(FOLDER))? {
        let entry = entry?;
        let card = serde_json::from_str(&fs::read_to_string(entry.path().join(CARD))?)?;
        cards.push((entry.file_name().to_string_lossy().into_owned(), card));
    }
    Ok(cards)
}

/// The first number of a card: of the examples as they are.
fn main_number<'a>(card: &'a Card, task: &Task) -> Result<&'a Number> {
    card.number(task.examples, task.metric).with_context(|| format!("no {} of {}", task.metric, task.examples))
}

/// `robustness` of one shift, which also measures the examples as they are.
fn robustness(name: &str, card: &Card, data: &Path) -> Result<Command> {
    let (mut command, shift, set) = match card.task.as_str() {
        "segment" => (segment(), ["--corruptions", "brightness"], "--data"),
        "sentiment" => (sentiment(), ["--shifts", "case"], "--texts"),
        _ => (sncn(), ["--corruptions", "brightness"], "--images"),
    };
    // a name with a slash is a folder below that of the data
    let test = if card.test.contains('/') { data.join(&card.test) } else { PathBuf::from(&card.test) };
    command.current_dir(root()).arg("robustness").args(shift).args(["--severities", "3", "--json", "--model", name]);
    command.arg(set).arg(test).arg("--data-dir").arg(data);
    Ok(command)
}

/// What is missing: the data of a model.
pub(crate) fn missing() -> Option<String> {
    let Some(folder) = data() else { return Some("SNCN_DATA is not set".to_string()) };
    let is_there = |card: &Card| match card.test.as_str() {
        "cifar10" => folder.join("cifar-10-batches-bin").is_dir(),
        test if test.contains('/') => folder.join(test).is_dir(),
        test => folder.join(test.split('-').next().unwrap_or(test)).is_dir(),
    };
    let cards = cards().unwrap_or_default();
    cards.iter().find(|(_, card)| !is_there(card)).map(|(_, card)| format!("{}: not below {}", card.test, folder.display()))
}

pub(crate) fn every_model_does_what_its_card_says() -> Result<()> {
    let data = data().context("SNCN_DATA")?;
    for (name, card) in cards()? {
        let task = Task::of(&card.task)?;
        let told = main_number(&card, task)?;
        let mut command = robustness(&name, &card, &data)?;
        // of pixels the whole set counts, of examples the first
        let most = if card.task == SEGMENT.name {
            1e-3
        } else {
            command.args(["--limit", &told.n.to_string()]);
            2. / told.n as f64
        };
        let output = command.assert().success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let lines = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        let same = |line: &&Value| line["split"] == told.set.as_str() && line["metric"] == told.metric.as_str();
        let found = lines.iter().find(same).and_then(|line| line["value"].as_f64()).context("it was not measured")?;
        // other instruction sets round otherwise
        ensure!((found - told.value).abs() <= most, "{name}: {found} against {told:?}");
    }
    Ok(())
}

//! The models that come with the project, by their names.

use crate::common::{checkpoints, refused, segment, sentiment, sncn, table, train};
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use sncn_record::Task;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folders of the models.
fn models() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("models/zoo")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn card(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("card.json")).unwrap()).unwrap()
}

/// A photograph made by a formula.
fn photo(folder: &Path) -> PathBuf {
    let path = folder.join("photo.png");
    image::RgbImage::from_fn(48, 40, |x, y| image::Rgb([(5 * x) as u8, (6 * y) as u8, 90])).save(&path).unwrap();
    path
}

/// A question to a model of that task: its program, and what it is asked.
fn asked(task: &str, name: &str, photo: &Path) -> Command {
    let mut command = match task {
        "sentiment" => sentiment(),
        "segment" => segment(),
        _ => sncn(),
    };
    command.current_dir(root()).args(["predict", "--model", name]);
    match task {
        "sentiment" => command.write_stdin("what a dull and lifeless film\n"),
        "segment" => command.arg(photo).arg("--output").arg(photo.with_extension("out")),
        _ => command.arg(photo),
    };
    command
}

#[test]
fn every_model_answers_by_its_name_and_has_a_card() {
    let (folder, mut bytes) = (tempfile::tempdir().unwrap(), 0);
    let photo = photo(folder.path());
    for model in models() {
        let name = model.file_name().unwrap().to_str().unwrap();
        let size = fs::metadata(model.join("model.safetensors")).unwrap().len();
        assert!(size <= 4 << 20, "{name}: {size} bytes");
        bytes += size;
        let card = card(&model);
        for key in ["about", "data", "test", "row", "limits", "licence"] {
            assert!(card[key].as_str().is_some_and(|text| !text.is_empty()), "{name}: {key}");
        }
        let task = Task::of(card["task"].as_str().unwrap()).unwrap();
        let is_main = |one: &Value| one["set"] == task.examples && one["metric"] == task.metric && one["n"].as_u64() > Some(0);
        assert!(card["results"].as_array().unwrap().iter().any(is_main), "{name}");
        let answer = asked(task.name, name, &photo).assert().success().stderr(contains("warning").not());
        match task.name {
            "segment" => drop(answer.stdout(contains("photo-overlay.png: ").and(contains(" %")))),
            "sentiment" => drop(answer.stdout(contains("\"label\":\"negative\"").and(contains("probabilities")))),
            _ => drop(answer.stdout(contains("photo.png: ").and(contains(" %")))),
        }
    }
    assert!(bytes > 0 && bytes <= 20 << 20, "{bytes} bytes in all");
}

#[test]
fn a_model_is_added_with_its_results_and_used_by_its_name() {
    let (folder, path) = table(|row| row["test_limit"] = 40.into());
    let at = |name: &str| folder.path().join(name);
    train(&path, &at("run")).assert().success();
    let weights = checkpoints(&at("run")).pop().unwrap();
    let evaluated = |option: &str, model: &Path| -> f64 {
        let mut command = sncn();
        command.current_dir(folder.path()).arg("evaluate").arg(option).arg(model).args(["--test", "shapes", "--results"]);
        command.arg(at("results.jsonl")).assert().success();
        let results = fs::read_to_string(at("results.jsonl")).unwrap();
        let lines = results.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let error = lines.filter(|line| line["metric"] == "error").map(|line| line["value"].as_f64().unwrap()).next();
        error.unwrap()
    };
    let whole = evaluated("--run-dir", &at("run"));
    let export = |name: &str, more: &[&str]| {
        let mut command = sncn();
        command.arg("export").arg(&weights).arg("--results").arg(at("results.jsonl")).args(more);
        command.arg("--output").arg(at("models/zoo").join(name)).assert().success();
        fs::metadata(at("models/zoo").join(name).join("model.safetensors")).unwrap().len()
    };
    let (full, half) = (export("full", &[]), export("half", &["--half", "--test", "shapes", "--about", "Small"]));
    assert!(half < full, "{half} of {full} bytes");
    let card = card(&at("models/zoo/half"));
    assert_eq!([&card["task"], &card["data"], &card["test"], &card["about"]], ["classify", "shapes", "shapes", "Small"]);
    assert!(card["row"].as_str().unwrap().ends_with("small, seed 0"), "{card}");
    // an example or two may fall to the other side
    let halved = evaluated("--checkpoint", Path::new("half"));
    assert!((halved - whole).abs() <= 0.05 + 1e-9, "{halved} and {whole}");
}

#[test]
fn what_belongs_beside_the_weights_comes_along() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("models/zoo/copy");
    let mut command = sentiment();
    // by its name too: its own folder counts, and not where one stands
    command.current_dir(root()).args(["export", "sst2-convnet-selfnorm"]);
    command.arg("--results").arg(root().join("results/robustness/minilm-sst2.jsonl")).arg("--output").arg(&copy);
    command.assert().success();
    assert!(copy.join("tokenizer.json").is_file());
    assert_eq!(card(&copy)["test"], "sst2");
    let mut command = sentiment();
    command.current_dir(folder.path()).args(["predict", "--model", "copy"]).write_stdin("what a dull film\n");
    command.assert().success();
}

#[test]
fn a_card_of_other_weights_and_an_unknown_name_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (photo, first) = (photo(folder.path()), models().remove(0));
    let copy = folder.path().join("models/zoo/mine");
    fs::create_dir_all(&copy).unwrap();
    fs::copy(first.join("model.safetensors"), copy.join("model.safetensors")).unwrap();
    let predict = |name: &str| {
        let mut command = sncn();
        command.current_dir(folder.path()).args(["predict", "--model", name]).arg(&photo);
        command
    };
    refused(predict("mine"), &["mine/card.json"]);
    let mut other = card(&first);
    other["sha256"] = "00".into();
    fs::write(copy.join("card.json"), other.to_string()).unwrap();
    refused(predict("mine"), &["card.json: the card of other weights: sha256 is 00"]);
    refused(predict("yours"), &["yours: no such file, and no model of that name in models/zoo; known: mine"]);
}

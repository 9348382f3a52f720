//! Networks that adapt to test examples, tested by other rows than those that trained them, and temperatures.

use crate::common::{checkpoints, refused, segment, segment_table, sentiment, sncn, table, train, training};
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::json;
use sncn_record::Results;
use std::fs;
use std::path::Path;

fn evaluate(mut program: assert_cmd::Command, run_dir: &Path, arguments: &[&str]) -> assert_cmd::Command {
    program.arg("evaluate").arg("--run-dir").arg(run_dir).args(arguments);
    program
}

fn read(file: &Path) -> Results {
    Results::parse(&fs::read_to_string(file).unwrap()).unwrap()
}

#[test]
fn images_are_tested_in_the_way_of_another_row_with_any_thread_count() {
    let (folder, path) = table(|row| row["test_limit"] = json!(20));
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let weights = fs::read(checkpoints(&run).last().unwrap()).unwrap();
    let trained = json!({"table": "table.json", "row": "small"});
    let other = json!({"title": "t", "task": "classify", "seeds": [0], "select": "last", "defaults": {"test": ["shapes", "shapes-texture"]},
        "runs": [{"name": "tent", "trained": trained, "adapt": {"kind": "tent", "where": "both", "batch_size": 8}, "temperature": true}]});
    let adapted = folder.path().join("adapted.json");
    fs::write(&adapted, other.to_string()).unwrap();
    let file = |threads: &str| {
        let results = folder.path().join(format!("{threads}.jsonl"));
        let mut command = evaluate(sncn(), &run, &["--as", adapted.to_str().unwrap(), "--row", "tent", "--threads", threads]);
        let says = contains("with the temperature ECE ").and(contains("TENT on body and gates")).and(contains("temperature "));
        command.arg("--results").arg(&results).assert().success().stdout(says);
        fs::read_to_string(results).unwrap()
    };
    let text = file("1");
    assert_eq!(text, file("2"));
    let results = Results::parse(&text).unwrap();
    assert_eq!((results.header.row.as_str(), &results.header.run["temperature"]), ("tent", &json!(true)));
    let of = |split: &str, metric: &str| results.measurements.iter().find(|m| m.split == split && m.metric == metric).unwrap();
    assert!(of("shapes-validation", "temperature").value > 0. && of("shapes-validation", "temperature").n == 20);
    assert_ne!(of("shapes", "nll").value, of("shapes", "nll_scaled").value);
    assert_eq!(fs::read(checkpoints(&run).last().unwrap()).unwrap(), weights, "a test changed what was trained");

    let bf16 = evaluate(sncn(), &run, &["--adapt", "tent", "--precision", "bf16"]);
    refused(bf16, &["TENT computes in f32, and --precision asks for another"]);
    evaluate(sncn(), &run, &["--adapt", "batch", "--precision", "bf16", "--test", "shapes"]).assert().success();
    let unknown = evaluate(sncn(), &run, &["--as", adapted.to_str().unwrap(), "--row", "none"]);
    refused(unknown, &["adapted.json", "no row \"none\"; known: tent"]);
}

#[test]
fn a_temperature_needs_what_was_kept_out_of_training() {
    let (folder, path) = table(|row| {
        row["epochs"] = json!(1);
        row["train_limit"] = json!(null);
        row["test"] = json!(["shapes"]);
        row["batch_size"] = json!(512);
    });
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let words = ["the temperature is fitted on shapes-validation, what was kept out of training", "train_limit"];
    refused(evaluate(sncn(), &run, &["--temperature"]), &words);
}

#[test]
fn pixels_adapt_to_images_and_have_no_temperature() {
    let (folder, path) = segment_table(|row| row["test"] = json!(["scenes", "scenes-weather"]));
    let run = folder.path().join("run");
    training(segment(), &path, &run).assert().success();
    let results = |name: &str, arguments: &[&str]| {
        let file = folder.path().join(name);
        let mut command = evaluate(segment(), &run, arguments);
        command.arg("--results").arg(&file).assert().success();
        read(&file)
    };
    let plain = results("plain", &[]);
    let batch = results("batch", &["--adapt", "batch"]);
    assert_eq!(batch.header.run["adapt"]["batch_size"], json!(1));
    assert_ne!(plain.measurements, batch.measurements);
    let two = results("two", &["--adapt", r#"{"kind": "batch", "batch_size": 2}"#]);
    assert_ne!(two.measurements, batch.measurements);
    let windows = results("windows", &["--adapt", r#"{"kind": "tent", "where": "both", "batch_size": 3}"#, "--window", "32"]);
    let scores =
        |results: &Results| -> Vec<f64> { results.measurements.iter().filter(|m| m.metric == "miou").map(|m| m.value).collect() };
    let as_they_are = results("as-they-are", &["--window", "32"]);
    assert!(scores(&windows).len() == 2 && scores(&as_they_are).len() == 2 && scores(&windows) != scores(&as_they_are));
    refused(evaluate(segment(), &run, &["--temperature"]), &["the task \"segment\" measures no confidence"]);
    let (folder, path) = segment_table(|row| row["temperature"] = json!(true));
    refused(
        training(segment(), &path, &folder.path().join("run")),
        &["temperature is set; tables of task \"segment\" measure no confidence"],
    );
}

/// Texts have BatchNorm in gates alone.
#[test]
fn texts_adapt_in_gates() {
    let folder = tempfile::tempdir().unwrap();
    let row = json!({
        "name": "small", "train": "reviews", "test": ["reviews-films"], "backbone": "convnet16_8", "epochs": 1, "batch_size": 32, "lr": 0.001,
        "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0}, "schedule": {"kind": "constant"},
        "objective": {"kind": "plain"}, "input": {"vocabulary": {"kind": "words", "size": 200}, "longest": 40},
        "layers": [{"kind": "selfnorm", "at": "embedding"}], "train_limit": 64, "test_limit": 30
    });
    let path = folder.path().join("table.json");
    fs::write(&path, json!({"title": "t", "task": "sentiment", "seeds": [0], "select": "last", "runs": [row]}).to_string())
        .unwrap();
    let run = folder.path().join("run");
    training(sentiment(), &path, &run).assert().success();
    let file = folder.path().join("results.jsonl");
    let mut gates =
        evaluate(sentiment(), &run, &["--adapt", r#"{"kind": "tent", "where": "gates", "batch_size": 10}"#, "--temperature"]);
    gates.arg("--results").arg(&file).assert().success();
    assert!(read(&file).measurements.iter().any(|m| m.metric == "ece_scaled"));
    let words = ["run \"small\" (convnet16_8) on reviews-films", "no BatchNorm on its maps", "\"where\": \"body\""];
    refused(evaluate(sentiment(), &run, &["--adapt", "batch"]), &words);
}

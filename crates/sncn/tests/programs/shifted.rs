//! Text classifiers measured where texts are shifted: checkpoints, and the predictions of any program.

use crate::common::refused;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn program() -> Command {
    let mut command = Command::cargo_bin("sncn-sentiment").unwrap();
    command.env_remove("SNCN_DATA");
    command
}

/// A small model of film reviews.
fn trained() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (table, run) = (folder.path().join("table.json"), folder.path().join("run"));
    let row = json!({
        "name": "small", "train": "reviews", "test": ["reviews-films"], "backbone": "convnet16_4", "epochs": 3, "batch_size": 16,
        "train_limit": 320, "lr": 0.01, "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0},
        "schedule": {"kind": "constant"}, "objective": {"kind": "plain"},
        "input": {"vocabulary": {"kind": "words", "size": 400}, "longest": 60}
    });
    fs::write(&table, json!({"title": "t", "task": "sentiment", "seeds": [0], "select": "last", "runs": [row]}).to_string())
        .unwrap();
    let mut command = program();
    command.args(["train", "--row", "small", "--table"]).arg(&table).arg("--run-dir").arg(&run).assert().success();
    (folder, run)
}

/// `robustness` on the first 40 film reviews.
fn robustness(model: &Path, more: &[&str]) -> Command {
    let mut command = program();
    command.args(["robustness", "--texts", "reviews-films", "--limit", "40", "--shifts", "word_dropout,case"]);
    command.args(["--severities", "1,5", "--model"]).arg(model).args(more);
    command
}

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn value(lines: &[Value], split: &str, metric: &str) -> Option<f64> {
    lines.iter().find(|line| line["split"] == split && line["metric"] == metric).and_then(|line| line["value"].as_f64())
}

#[test]
fn a_model_and_its_predictions_are_measured_alike() {
    let (folder, run) = trained();
    let at = |name: &str| folder.path().join(name);
    let (own, page) = (at("own.jsonl"), at("page.html"));
    let said = robustness(&run, &["--results"]).arg(&own).arg("--page").arg(&page).assert().success();
    said.stdout(
        contains("texts-c: accuracy % by shift and severity")
            .and(contains("predictions that differ from those on the clean texts"))
            .and(contains("small, seed 0 on 40 texts of reviews-films: 2 shifts × severities [1, 5]"))
            .and(contains("a subset: the first 40 of 1000 texts"))
            .and(contains("severities 1, 5 of 1 to 5 only"))
            .and(contains("NaN").not()),
    )
    .stderr(contains("40 texts × (1 + 2 shifts × 2 severities) = 200 texts"));
    assert!(!at("own.jsonl.partial").exists());
    let shown = fs::read_to_string(&page).unwrap();
    for part in [
        "small, seed 0 under shift",
        "By shift</h2>",
        "Accuracy <strong>",
        "Answers that changed",
        "<li>shifts: word_dropout, case",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
    // the same texts, answered by the same model through predict
    let (out, answers, told) = (at("shifted"), at("answers.csv"), at("told.jsonl"));
    let mut shift = program();
    shift.args(["shift", "--texts", "reviews-films", "--limit", "40", "--shifts", "word_dropout,case", "--severities", "1,5"]);
    shift.arg("--output").arg(&out).assert().success().stdout(contains("40 texts × (1 + 2 shifts × 2 severities) in texts.csv"));
    let mut list = csv::Reader::from_path(out.join("texts.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = list.records().map(|row| row.unwrap()).collect();
    assert_eq!(rows.len(), 200);
    let texts: String = rows.iter().map(|row| row[1].replace('\n', " ") + "\n").collect();
    let output =
        program().arg("predict").arg("--run-dir").arg(&run).write_stdin(texts).assert().success().get_output().stdout.clone();
    let labels = String::from_utf8(output).unwrap();
    let label = |line: &str| serde_json::from_str::<Value>(line).unwrap()["label"].as_str().unwrap().to_string();
    let written: String = rows.iter().zip(labels.lines()).map(|(row, line)| format!("{},{}\n", &row[0], label(line))).collect();
    fs::write(&answers, format!("path,class\n{written}")).unwrap();
    let predicted = |more: &[&str]| {
        let mut command = program();
        command.arg("robustness").arg("--texts").arg(&out).arg("--predictions").arg(&answers).args(more);
        command
    };
    predicted(&["--results"]).arg(&told).arg("--page").arg(&page).assert().success();
    assert!(fs::read_to_string(&page).unwrap().contains("answers.csv under shift"));
    let (own_lines, told_lines) = (lines(&own), lines(&told));
    assert_eq!(own_lines[0]["run"]["protocol"], told_lines[0]["run"]["protocol"]);
    for split in ["texts", "texts-c/case/5", "texts-c/word_dropout/1"] {
        for metric in ["accuracy", "macro_f1", "changed"] {
            let (own, told) = (value(&own_lines, split, metric), value(&told_lines, split, metric));
            assert!(
                own.is_some() == told.is_some() && own.zip(told).is_none_or(|(own, told)| (own - told).abs() < 1e-12),
                "{split} {metric}"
            );
        }
    }
    // each is ranked beside the other, of two equals in any order
    predicted(&["--rank"])
        .arg(&own)
        .assert()
        .success()
        .stdout(contains("accuracy under shift %").and(contains("this measurement")));
    refused(predicted(&["--shifts", "case"]), &["--shifts, --severities and --limit are for --model"]);
    refused(predicted(&["--fail-below", "99.9"]), &["the mean accuracy under shift is", "below the 99.9 % of --fail-below"]);
    fs::write(&answers, format!("path,class\n{}", written.lines().skip(1).fold(String::new(), |all, line| all + line + "\n")))
        .unwrap();
    refused(predicted(&[]), &["answers.csv: no answer to 1 of 200 texts: clean/0"]);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let (folder, run) = trained();
    let refuses = |more: &[&str], words: &[&str]| refused(robustness(&run, more), words);
    let unknown = |arguments: &[&str], words: &[&str]| {
        let mut command = program();
        command.arg("robustness").args(arguments).arg("--model").arg(&run);
        refused(command, words);
    };
    unknown(&["--texts", "reviews-films", "--shifts", "weather"], &["\"weather\" is unknown", "typing_errors"]);
    unknown(&["--texts", "reviews-films", "--shifts", "case,case"], &["--shifts names one twice"]);
    unknown(&["--texts", "reviews-books"], &["reviews-books"]);
    refuses(&["--rank"], &["no published results on reviews-films are known here (none are)", "--rank other.jsonl"]);
    refuses(&["--fail-below", "101"], &["--fail-below is 101"]);
    // other texts are not compared
    let (own, other) = (folder.path().join("own.jsonl"), folder.path().join("other.jsonl"));
    let mut command = program();
    command.args([
        "robustness",
        "--texts",
        "reviews-kitchen",
        "--limit",
        "40",
        "--shifts",
        "word_dropout,case",
        "--severities",
        "1,5",
    ]);
    command.arg("--model").arg(&run).arg("--results").arg(&other).assert().success();
    let mut ranked = robustness(&run, &["--results"]);
    ranked.arg(&own).arg("--rank").arg(&other);
    refused(ranked, &["other.jsonl is not to be compared: sha256 is"]);
    // a ranking that is refused takes nothing from what was measured
    assert!(value(&lines(&own), "texts", "accuracy").is_some());
    let nowhere = folder.path().join("nowhere");
    refused(robustness(&nowhere, &[]), &["nowhere"]);
    let mut command = program();
    command.arg("robustness").arg("--texts").arg(folder.path()).arg("--predictions").arg(&own);
    refused(command, &["manifest.json: not readable; a folder that `shift"]);
}

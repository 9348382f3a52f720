//! Texts as people have them, through `sncn-sentiment`: tables of many classes, spellings of labels, encodings, forms of JSON.

use crate::common::{refused, sentiment};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A word for each number of stars, so that a small network tells them apart.
const WORDS: [&str; 3] = ["awful", "middling", "great"];

/// Rows of texts and stars from 1 to 3.
fn rows() -> Vec<(String, usize)> {
    (0..90).map(|i| (format!("a {} film, take {}", WORDS[i % 3], i / 3 % 7), i % 3 + 1)).collect()
}

fn csv(label: &dyn Fn(usize) -> String) -> String {
    let rows: String = rows().iter().map(|(text, stars)| format!("\"{text}\",{}\n", label(*stars))).collect();
    format!("text,label\n{rows}")
}

/// Trains a small network on that table of texts; the folder of the run.
fn trained(folder: &Path, texts: &Path) -> PathBuf {
    let table = json!({"title": "t", "task": "sentiment", "seeds": [0], "select": "last", "runs": [{
        "name": "stars", "train": texts, "test": [texts], "backbone": "convnet16_4", "epochs": 12, "batch_size": 8, "lr": 0.01,
        "optimizer": {"kind": "adam", "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0}, "schedule": {"kind": "constant"},
        "objective": {"kind": "plain"}, "input": {"vocabulary": {"kind": "words", "size": 60}, "longest": 20}}]});
    let (path, run) = (folder.join("table.json"), folder.join("run"));
    // a table that an editor saved with a byte order mark
    fs::write(&path, format!("\u{feff}{table}")).unwrap();
    let mut train = sentiment();
    train.args(["train", "--row", "stars", "--table"]).arg(&path).arg("--run-dir").arg(&run).assert().success();
    run
}

/// The accuracy of every test set in percent, by its name, from a results file.
fn accuracies(run: &Path, tests: &[&Path]) -> Vec<(String, f64)> {
    let results = run.join("results.jsonl");
    let names: Vec<String> = tests.iter().map(|path| path.display().to_string()).collect();
    let mut evaluate = sentiment();
    evaluate.args(["evaluate", "--run-dir"]).arg(run).args(["--test", &names.join(",")]).arg("--results").arg(&results);
    evaluate.assert().success();
    let lines = fs::read_to_string(&results).unwrap();
    fs::remove_file(&results).unwrap();
    let all = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let all = all.filter(|line| line["metric"] == "accuracy");
    all.map(|line| (line["split"].as_str().unwrap().to_string(), line["value"].as_f64().unwrap())).collect()
}

#[test]
fn three_classes_are_trained_tested_and_predicted_however_labels_are_spelt() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let words = csv(&|stars| if stars == 1 { "1 star".to_string() } else { format!("{stars} stars") });
    let run = trained(folder.path(), &file("train.csv", words.as_bytes()));
    let wide: Vec<u8> = csv(&|stars| stars.to_string()).encode_utf16().flat_map(u16::to_le_bytes).collect();
    let records: Vec<Value> = rows().iter().map(|(text, stars)| json!({"text": text, "label": stars})).collect();
    let columns = json!({"data": {"text": rows().iter().map(|(text, _)| text.clone()).collect::<Vec<_>>(),
        "label": rows().iter().map(|(_, stars)| stars - 1).collect::<Vec<_>>()}});
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    let tests = [
        file("floats.csv", csv(&|stars| format!("{stars}.0")).as_bytes()),
        file("signs.csv", csv(&|stars| "★".repeat(stars)).as_bytes()),
        file("wide.csv", &[b"\xff\xfe".as_slice(), &wide].concat()),
        file("array.json", Value::Array(records).to_string().as_bytes()),
        file("columns.json", columns.to_string().as_bytes()),
        file("lines.jsonl", format!("\u{feff}{lines}").as_bytes()),
        // the worst and the best alone
        file("some.csv", "text,label\na great film,3\nan awful film,1\n".as_bytes()),
    ];
    let found = accuracies(&run, &tests.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    assert_eq!(found.len(), tests.len());
    found.iter().for_each(|(name, accuracy)| assert!(*accuracy == 1., "{name}: {accuracy}"));
    let mut predict = sentiment();
    let out =
        predict.args(["predict", "--run-dir"]).arg(&run).write_stdin("\u{feff}a great film\nan awful film\n").assert().success();
    let lines: Vec<Value> =
        String::from_utf8_lossy(&out.get_output().stdout).lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(
        (&lines[0]["text"], &lines[0]["label"], &lines[1]["label"]),
        (&json!("a great film"), &json!("3 stars"), &json!("1 star"))
    );
    assert_eq!(lines[0]["probabilities"].as_object().unwrap().len(), 3);
    let mut predict = sentiment();
    predict.args(["predict", "--run-dir"]).arg(&run).write_stdin(b"caf\xe9\n".as_slice());
    predict.assert().success().stdout(contains("café")).stderr(contains("standard input: 1 line is not UTF-8"));

    let evaluate = |test: &Path| {
        let mut command = sentiment();
        command.args(["evaluate", "--run-dir"]).arg(&run).arg("--test").arg(test);
        command
    };
    refused(
        evaluate(&file("other.csv", b"text,label\nx,2\ny,sport\n")),
        &["other.csv:3: class \"sport\"", "1 star, 2 stars, 3 stars"],
    );
    refused(evaluate(&file("scores.csv", b"text,label\nx,0.73\n")), &["scores.csv:2", "0.73", "a score"]);
    refused(
        evaluate(&file("long.json", format!("{{\"{}\": 1}}", "x".repeat(400_000)).as_bytes())),
        &["long.json: no column \"text\""],
    );
    let message = evaluate(&folder.path().join("long.json")).output().unwrap().stderr;
    assert!(message.len() < 800, "{} bytes", message.len());
    refused(evaluate(&file("sheet.csv", b"PK\x03\x04")), &["sheet.csv", "spreadsheet"]);
    refused(evaluate(Path::new("no-such.csv")), &["\"no-such.csv\"", "no such file", ".jsonl"]);
}

#[test]
fn a_table_of_one_class_is_not_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.csv");
    fs::write(&path, "text,label\na,sport\nb,sport\nc,sport\n").unwrap();
    let mut vocab = sentiment();
    vocab.args(["vocab", "--train"]).arg(&path).arg("--output").arg(folder.path().join("t.json"));
    vocab.assert().failure().code(1).stderr(contains("all texts are of class \"sport\"").and(contains("at least 2 classes")));
}

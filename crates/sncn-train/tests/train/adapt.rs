//! Adaptation at test time by the shared commands, and rows that test what other rows trained.

use crate::toy::Pitch;
use crate::{run, table, train};
use serde_json::{Value, json};
use sncn_record::Results;
use sncn_train::harness::{Ending, Table};
use std::path::Path;

/// Evaluates a run with these arguments: the results, or why not.
fn evaluate(run_dir: &Path, more: &[&str]) -> Result<Results, String> {
    let file = run_dir.join("results.jsonl");
    let paths = ["evaluate", "--run-dir", run_dir.to_str().unwrap(), "--results", file.to_str().unwrap()];
    run(&[&paths, more].concat())?;
    Ok(Results::parse(&std::fs::read_to_string(file).unwrap()).unwrap())
}

/// The NLL of a part, which moves with any change of the scores.
fn nll(results: &Results, split: &str) -> f64 {
    results.measurements.iter().find(|m| m.split == split && m.metric == "nll").unwrap().value
}

#[test]
fn every_kind_adapts_and_a_part_does_not_depend_on_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    assert_eq!(train(&table(folder.path(), |_| {}), &run_dir, &[]), Ok(Ending::Done));
    let plain = evaluate(&run_dir, &[]).unwrap();
    let mut found = vec![nll(&plain, "tones-c/noise/5")];
    for adapt in [
        r#"{"kind": "batch", "batch_size": 20}"#,
        r#"{"kind": "batch", "where": "gates", "batch_size": 20}"#,
        r#"{"kind": "batch", "where": "both", "batch_size": 20}"#,
        r#"{"kind": "batch_unbiased", "where": "gates", "batch_size": 20}"#,
        r#"{"kind": "prior", "n": 16, "batch_size": 20}"#,
        r#"{"kind": "cumulative", "batch_size": 20}"#,
        r#"{"kind": "whole_set", "batch_size": 20}"#,
        r#"{"kind": "batch", "batch_size": 20, "order": "shuffled"}"#,
        r#"{"kind": "tent", "batch_size": 20, "lr": 0.01}"#,
        r#"{"kind": "tent", "where": "gates", "batch_size": 20, "lr": 0.01}"#,
        r#"{"kind": "tent", "where": "gates", "statistics": "both", "batch_size": 20, "lr": 0.01}"#,
    ] {
        let all = evaluate(&run_dir, &["--adapt", adapt]).unwrap();
        let resolved = &all.header.run["adapt"];
        let asked: Value = serde_json::from_str(adapt).unwrap();
        assert!(asked.as_object().unwrap().iter().all(|(key, value)| resolved[key] == *value), "{resolved}");
        assert!(all.header.notes.iter().any(|note| note.starts_with("adapted to test examples: ")), "{:?}", all.header.notes);
        // the clean set came before in one, and not in the other
        let alone = evaluate(&run_dir, &["--adapt", adapt, "--test", "tones-c"]).unwrap();
        let value = nll(&all, "tones-c/noise/5");
        assert_eq!(value, nll(&alone, "tones-c/noise/5"), "{adapt}");
        assert!(value.is_finite() && !found.contains(&value), "{adapt}: {value} is that of another kind: {found:?}");
        found.push(value);
    }
    // without a step after it, an episode of TENT answers as statistics alone do
    let episodic =
        evaluate(&run_dir, &["--adapt", r#"{"kind": "tent", "batch_size": 20, "lr": 0.01, "episodic": true}"#]).unwrap();
    let difference = nll(&episodic, "tones-c/noise/5") - found[1];
    assert!(difference.abs() < 1e-6, "{difference}");
    assert_eq!(evaluate(&run_dir, &["--adapt", "none"]).unwrap().measurements, plain.measurements);
}

#[test]
fn what_cannot_adapt_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    let plain = table(folder.path(), |table| table["runs"][0]["layers"] = json!([]));
    assert_eq!(train(&plain, &run_dir, &[]), Ok(Ending::Done));
    let refused = |adapt: &str, words: &[&str]| {
        let error = evaluate(&run_dir, &["--adapt", adapt]).unwrap_err();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    for kind in ["batch", "tent"] {
        let adapt = format!(r#"{{"kind": "{kind}", "where": "gates"}}"#);
        refused(&adapt, &["run \"sn\" (ear) on tones", "no SelfNorm gates", "choose another, or take adapt away"]);
    }
    refused("magic", &["--adapt", "unknown variant `magic`"]);
    refused(r#"{"kind": "tent", "lr": 0}"#, &["--adapt: adapt.lr is 0; a positive number is accepted"]);
    refused(
        r#"{"kind": "tent", "lr": 1e39, "batch_size": 20}"#,
        &["on tones", "TENT: in batch", "the scores are no finite numbers"],
    );
    // the toy has parts of 60 examples
    let small = evaluate(&run_dir, &["--adapt", "batch"]).unwrap();
    let said = "tones-c: 60 examples a part, fewer than a batch of 200: a batch is the whole part";
    assert_eq!(small.header.notes.iter().filter(|note| *note == said).count(), 1, "{:?}", small.header.notes);
    let one = evaluate(&run_dir, &["--adapt", r#"{"kind": "tent", "batch_size": 1}"#, "--test", "tones"]).unwrap();
    assert!(one.header.notes.iter().any(|note| note.starts_with("TENT on batches of one")), "{:?}", one.header.notes);
}

#[test]
fn gates_need_more_than_one_example() {
    let folder = tempfile::tempdir().unwrap();
    let run_dir = folder.path().join("run");
    assert_eq!(train(&table(folder.path(), |_| {}), &run_dir, &[]), Ok(Ending::Done));
    let error = evaluate(&run_dir, &["--adapt", r#"{"kind": "batch", "where": "gates", "batch_size": 1}"#]).unwrap_err();
    assert!(error.contains("needs at least 2 values a channel, this batch has 1: use a larger batch"), "{error}");
}

#[test]
fn a_row_tests_what_another_trained() {
    let folder = tempfile::tempdir().unwrap();
    let tones = table(folder.path(), |_| {});
    let run_dir = folder.path().join("run");
    assert_eq!(train(&tones, &run_dir, &[]), Ok(Ending::Done));
    let adapted = json!({"title": "t", "task": "pitch", "seeds": [0], "select": "last", "defaults": {"test": ["tones-c"]},
        "runs": [{"name": "batch", "trained": {"table": "tones", "row": "sn"}, "adapt": {"kind": "batch"}}]});
    let path = folder.path().join("adapted.json");
    std::fs::write(&path, adapted.to_string()).unwrap();
    let file = path.to_str().unwrap();
    let found = evaluate(&run_dir, &["--as", file, "--row", "batch"]).unwrap();
    assert_eq!((found.header.row.as_str(), found.header.run["adapt"]["batch_size"].as_u64()), ("batch", Some(200)));
    assert_eq!(found.header.run, Table::<Pitch>::read(&path).unwrap().runs[0].resolved().unwrap());
    assert!(found.measurements.iter().all(|m| m.split.starts_with("tones-c/") || m.split == "training"));
    // such a row trains nothing, and is held to how the network was trained
    let error = run(&["train", "--table", file, "--row", "batch", "--run-dir", run_dir.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("row \"batch\" trains nothing: it tests the network of row \"sn\" of the table tones"), "{error}");
    table(folder.path(), |table| table["runs"][0]["epochs"] = json!(5));
    let error = evaluate(&run_dir, &["--as", file, "--row", "batch"]).unwrap_err();
    assert!(error.contains("its epochs is 5, this one's is 4"), "{error}");
    std::fs::remove_file(&tones).unwrap();
    let error = evaluate(&run_dir, &["--as", file, "--row", "batch"]).unwrap_err();
    assert!(error.contains("run \"batch\": trained: the table \"tones\" cannot be read"), "{error}");
}

//! What the tests of the program share.

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env_remove("SNCN_DATA").timeout(Duration::from_secs(300));
    command
}

/// The program for images, away from this machine's data.
pub(crate) fn sncn() -> Command {
    program(env!("CARGO_BIN_EXE_sncn-classify"))
}

/// The program for labelled pixels.
pub(crate) fn segment() -> Command {
    program(env!("CARGO_BIN_EXE_sncn-segment"))
}

/// The program for texts.
pub(crate) fn sentiment() -> Command {
    program(env!("CARGO_BIN_EXE_sncn-sentiment"))
}

/// A folder with a table of that task and one row.
fn written(task: &str, row: &Value) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.json");
    let table = json!({"title": "t", "task": task, "seeds": [0], "select": "last", "runs": [row]});
    fs::write(&path, table.to_string()).unwrap();
    (folder, path)
}

/// A folder with a small table of one row; `change` edits the row.
pub(crate) fn table(change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let mut row = json!({
        "name": "small", "train": "shapes", "test": ["shapes", "shapes-c"], "backbone": "wrn10_1", "epochs": 2, "batch_size": 16,
        "lr": 0.1, "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
        "schedule": {"kind": "cosine", "floor": 1e-6}, "objective": {"kind": "plain"}, "train_limit": 160, "test_limit": 3,
        "mix": {"probability": 0.5, "active": 1},
        "layers": [{"kind": "crossnorm", "at": "post", "crop": "both"}, {"kind": "selfnorm", "at": "post"}]
    });
    change(&mut row);
    written("classify", &row)
}

/// The same for labelled pixels.
pub(crate) fn segment_table(change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let mut row = json!({
        "name": "small", "train": "scenes", "test": ["scenes", "scenes-weather"], "backbone": "fcn_resnet18_8", "epochs": 2,
        "batch_size": 4, "lr": 0.02, "lr_factors": {"classifier.": 10},
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": false, "weight_decay": 0.0001},
        "schedule": {"kind": "polynomial", "power": 0.9}, "objective": {"kind": "segment"}, "train_limit": 32, "test_limit": 3,
        "augment": {"kind": "paired", "scale": [0.75, 1.5], "rotate": 5, "blur": 0.5, "flip": true},
        "mix": {"probability": 0.5, "active": 1},
        "layers": [{"kind": "crossnorm", "at": "post", "crop": "style"}, {"kind": "selfnorm", "at": "residual", "stages": [1, 2]}]
    });
    change(&mut row);
    written("segment", &row)
}

/// Trains that table's row.
pub(crate) fn train(table: &Path, run_dir: &Path) -> Command {
    training(sncn(), table, run_dir)
}

/// Trains it with that program.
pub(crate) fn training(mut command: Command, table: &Path, run_dir: &Path) -> Command {
    command
        .arg("train")
        .arg("--table")
        .arg(table)
        .args(["--row", "small", "--checkpoint-every", "3"])
        .arg("--run-dir")
        .arg(run_dir);
    command
}

/// Trains `total` steps in two threads and three runs, which must be the `whole` one: the first stops at `steps[0]`, the second at `steps[1]`, whose
/// checkpoint is lost, as if the machine had gone down there, so that the last goes on from `from`.
pub(crate) fn resumes(train: &dyn Fn() -> Command, run_dir: &Path, steps: [u64; 2], from: u64, total: u64) {
    let train = || {
        let mut command = train();
        command.args(["--threads", "2"]);
        command
    };
    let stopped = |after: u64| {
        let mut command = train();
        let words = contains(format!("stopped at step {after} of {total}")).and(contains("run the same command to resume"));
        command.args(["--stop-after", &after.to_string()]).assert().code(130).stderr(words)
    };
    stopped(steps[0]).stderr(contains("resuming").not());
    stopped(steps[1]).stderr(contains(format!("resuming at step {} of {total}", steps[0])));
    fs::remove_file(checkpoints(run_dir).last().unwrap()).unwrap();
    train().assert().success().stderr(contains(format!("resuming at step {from} of {total}")));
}

/// The checkpoints of a run, the oldest first.
pub(crate) fn checkpoints(run_dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(run_dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|e| e == "safetensors"));
    found.sort();
    found
}

/// Runs to an error that has these words.
pub(crate) fn refused(mut command: Command, words: &[&str]) {
    let assert = command.assert().failure().code(1);
    let text = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

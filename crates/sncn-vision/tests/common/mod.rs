//! What the tests of the program share.
#![allow(dead_code, reason = "no test file uses all of it")]

use assert_cmd::Command;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The program, away from this machine's data.
pub(crate) fn sncn() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sncn-classify"));
    command.env_remove("SNCN_DATA").timeout(Duration::from_secs(300));
    command
}

/// A folder with a small table of one row; `change` edits the row.
pub(crate) fn table(change: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut row = json!({
        "name": "small", "train": "shapes", "test": ["shapes", "shapes-c"], "backbone": "wrn10_1", "epochs": 2, "batch_size": 16,
        "lr": 0.1, "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
        "schedule": {"kind": "cosine", "floor": 1e-6}, "objective": {"kind": "plain"}, "train_limit": 160, "test_limit": 3,
        "mix": {"probability": 0.5, "active": 1},
        "layers": [{"kind": "crossnorm", "at": "post", "crop": "both"}, {"kind": "selfnorm", "at": "post"}]
    });
    change(&mut row);
    let path = folder.path().join("table.json");
    let table = json!({"title": "t", "task": "classify", "seeds": [0], "select": "last", "runs": [row]});
    fs::write(&path, table.to_string()).unwrap();
    (folder, path)
}

/// Trains that table's row.
pub(crate) fn train(table: &Path, run_dir: &Path) -> Command {
    let mut command = sncn();
    command
        .arg("train")
        .arg("--table")
        .arg(table)
        .args(["--row", "small", "--checkpoint-every", "3"])
        .arg("--run-dir")
        .arg(run_dir);
    command
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

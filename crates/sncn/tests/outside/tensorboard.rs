//! Event files, read back by TensorBoard itself, where there is one.

use crate::common::{checkpoints, table, train};
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// What reads a folder of event files: every tag with its steps and values.
const READER: &str = "
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
read = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
read.Reload()
print(json.dumps({tag: [[one.step, one.value] for one in read.Scalars(tag)] for tag in read.Tags()['scalars']}))
";

/// A Python that may have packages: $SNCN_PYTHON, else the system's.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("SNCN_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
}

/// What is missing.
pub(crate) fn missing() -> Option<String> {
    let found = Command::new(python()).args(["-c", "import tensorboard"]).output().is_ok_and(|output| output.status.success());
    (!found).then(|| "no Python with TensorBoard (SNCN_PYTHON names one)".to_string())
}

/// A run that was stopped and lost its last steps has each step once.
pub(crate) fn the_curves_are_read_back() -> Result<()> {
    let (folder, table) = table(|_| {});
    let (run, events) = (folder.path().join("run"), folder.path().join("events"));
    let mut first = train(&table, &run);
    first.arg("--tensorboard").arg(&events).args(["--stop-after", "14"]).assert().code(130);
    fs::remove_file(checkpoints(&run).last().context("a checkpoint")?)?;
    train(&table, &run).arg("--tensorboard").arg(&events).assert().success();
    let output = Command::new(python()).args(["-c", READER]).arg(&events).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: Value = serde_json::from_slice(&output.stdout)?;
    let steps =
        |tag: &str| -> Vec<u64> { read[tag].as_array().into_iter().flatten().filter_map(|one| one[0].as_u64()).collect() };
    assert_eq!(steps("train/loss"), (1..=20).collect::<Vec<_>>(), "{read}");
    assert_eq!(steps("train/learning_rate").len(), 20);
    assert_eq!(steps("epoch/loss"), [10, 20]);
    let losses: Vec<f64> = read["train/loss"].as_array().into_iter().flatten().filter_map(|one| one[1].as_f64()).collect();
    let mean = losses[10..].iter().sum::<f64>() / 10.;
    let told = read["epoch/loss"][1][1].as_f64().context("a mean")?;
    assert!((mean - told).abs() < 1e-5, "{mean} {told}");
    Ok(())
}

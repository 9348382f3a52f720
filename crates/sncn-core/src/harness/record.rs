//! Results files: a header line, one measurement a line, a closing line; a file that exists is complete.

use crate::checkpoint::write_atomically;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The machine a result was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical processors it has (not how many were used: that cannot change a result).
    pub cores: usize,
    /// Operating system and architecture.
    pub os: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
        let cores = info.lines().filter(|line| line.starts_with("processor")).count();
        Self {
            cpu: model.unwrap_or("unknown").to_string(),
            cores: if cores > 0 { cores } else { std::thread::available_parallelism().map_or(1, usize::from) },
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

/// The first line of a results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordHeader {
    /// Version of this layout.
    pub format: u32,
    /// The table.
    pub table: String,
    /// The row.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// The resolved run.
    pub run: Value,
    /// The commit of the working tree, where it is known.
    pub commit: Option<String>,
    /// Whether tracked files differed from it.
    pub dirty: bool,
    /// Version of the program.
    pub version: String,
    /// Where it ran.
    pub machine: Machine,
    /// Which checkpoint was evaluated.
    pub selection: String,
    /// What a reader should know, such as generated frost.
    pub notes: Vec<String>,
}

/// Commit of the tree and whether it is dirty; results themselves do not count.
pub fn commit() -> (Option<String>, bool) {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let dirty =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results"]).is_some_and(|text| !text.is_empty());
    (git(&["rev-parse", "HEAD"]), dirty)
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Test set, or `<corruption>/<severity>`.
    pub split: String,
    /// `error`, `nll` or `ece`.
    pub metric: String,
    /// Its value, as a fraction.
    pub value: f64,
    /// Examples it was taken over.
    pub n: usize,
}

/// Collects measurements and writes them once, whole.
pub struct Recorder {
    header: RecordHeader,
    measurements: Vec<Measurement>,
}

impl Recorder {
    /// Starts with a header.
    pub fn new(header: RecordHeader) -> Self {
        Self { header, measurements: Vec::new() }
    }

    /// Adds one number.
    pub fn add(&mut self, split: &str, metric: &str, value: f64, n: usize) {
        self.measurements.push(Measurement { split: split.to_string(), metric: metric.to_string(), value, n });
    }

    /// The numbers so far.
    pub fn measurements(&self) -> &[Measurement] {
        &self.measurements
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Where it cannot be written; no half of it is left.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string(&self.header)? + "\n";
        for measurement in &self.measurements {
            text += &(serde_json::to_string(measurement)? + "\n");
        }
        text += &(json!({"complete": true, "measurements": self.measurements.len()}).to_string() + "\n");
        write_atomically(path, text.as_bytes())
    }
}

//! `Ranking`: a measurement beside published results and others' of the same protocol.

use super::about::About;
use crate::harness::record::Recorder;
use crate::harness::summary::{shifted, value};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sncn_record::{Measurement, Results, Task};
use sncn_report::Grid;
use std::path::{Path, PathBuf};

/// A line of a ranking, in percent.
#[derive(Clone, Debug)]
pub struct Line {
    /// Whose it is.
    pub name: String,
    /// The number on examples as they are, where it is known.
    pub clean: Option<f64>,
    /// The number that is ranked.
    pub value: f64,
    /// Where it stands.
    pub source: String,
}

/// Published results of a protocol.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// What is ranked, where that is not the mean of the task's metric under shift: a metric of the shifted set as a whole, of which less is
    /// better, with its heading.
    pub metric: Option<(&'static str, &'static str)>,
    /// Published results.
    pub lines: Vec<Line>,
    /// The data of which results are known here.
    pub known: Vec<String>,
}

/// Lines in order, the best first.
pub(super) struct Ranking {
    /// The headings of both numbers.
    heads: [String; 2],
    lines: Vec<Line>,
}

/// What own results are called in a ranking.
const OWN: &str = "this measurement";
/// Keys of a protocol that may differ: how examples become inputs belongs to the model, and data may have another name.
const FREE: [&str; 2] = ["input", "data"];

impl Published {
    /// Adds a measurement and those in result files.
    ///
    /// # Errors
    /// If one of them was made under another protocol (names the key, and both values), or there is nothing to compare.
    pub(super) fn with(mut self, about: &About, recorder: &Recorder, files: &[PathBuf]) -> Result<Ranking> {
        let task = about.task;
        self.lines.push(self.line(task, recorder.header().row.clone(), recorder.measurements(), OWN.to_string())?);
        for file in files {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let results = Results::parse(&text).with_context(|| file.display().to_string())?;
            same(&about.protocol, &results.header.run, file)?;
            self.lines.push(self.line(task, results.header.row.clone(), &results.measurements, file.display().to_string())?);
        }
        let known = match self.known.as_slice() {
            [] => "none are".to_string(),
            known => format!("{} are", known.join(", ")),
        };
        ensure!(
            self.lines.len() > 1,
            "--rank: no published results on {} are known here ({known}), and no result files are named: --rank other.jsonl",
            about.protocol.get("data").and_then(Value::as_str).unwrap_or("these data")
        );
        self.lines.sort_by(|a, b| a.value.total_cmp(&b.value));
        if self.metric.is_none() && !task.low {
            self.lines.reverse();
        }
        let ranked = self.metric.map_or(format!("{} under {} %", task.called, task.shift), |(_, heading)| heading.to_string());
        Ok(Ranking { heads: [format!("clean {} %", task.called), ranked], lines: self.lines })
    }

    fn line(&self, task: &Task, name: String, measurements: &[Measurement], source: String) -> Result<Line> {
        let found = match self.metric {
            Some((metric, _)) => value(measurements, &format!("{}-c", task.examples), metric),
            None => shifted(measurements, task.metric).first().map(|(_, rows)| rows.mean()),
        };
        let found =
            found.with_context(|| format!("{source}: it has no {}", self.metric.map_or(task.called, |(_, heading)| heading)))?;
        let clean = value(measurements, task.examples, task.metric).map(|clean| 100. * clean);
        Ok(Line { name, clean, value: 100. * found, source })
    }
}

impl Ranking {
    /// As a table.
    pub(super) fn grid(&self) -> Grid {
        let [clean, ranked] = self.heads.clone();
        let mut grid = Grid::new(vec![String::new(), "rank".to_string(), clean, ranked, "source".to_string()]);
        for (index, Line { name, clean, value, source }) in self.lines.iter().enumerate() {
            let clean = clean.map_or("–".to_string(), |clean| format!("{clean:.2}"));
            grid.push(vec![name.clone(), (index + 1).to_string(), clean, format!("{value:.2}"), source.clone()]);
        }
        grid
    }
}

/// Refuses results of another protocol.
fn same(own: &Value, run: &Value, file: &Path) -> Result<()> {
    let Some(Value::Object(theirs)) = run.get("protocol") else {
        bail!("{}: results without a protocol; those that robustness --results wrote are wanted", file.display())
    };
    let Value::Object(own) = own else { return Ok(()) };
    for (key, value) in own.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
        let other = theirs.get(key).unwrap_or(&Value::Null);
        ensure!(value == other, "--rank: {} is not to be compared: {key} is {other} there, and {value} here", file.display());
    }
    Ok(())
}

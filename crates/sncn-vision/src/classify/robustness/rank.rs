//! `Ranking`: a measurement beside published results and others' of the same protocol.

use super::answers::SET;
use super::protocol::Protocol;
use crate::corruption::benchmark;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use sncn_record::corruption_error::MCE_ALEXNET;
use sncn_record::{Measurement, Results};
use sncn_report::Grid;
use sncn_train::harness::record::Recorder;
use sncn_train::harness::summary::{shifted, value};
use std::path::{Path, PathBuf};

/// Published results of one protocol.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    /// Where they stand.
    source: String,
    /// What they are: the mean error, or the mCE divided by AlexNet's.
    metric: String,
    protocol: Told,
    results: Vec<Entry>,
}

/// What is told of the protocol of published results; the corruptions are the benchmark's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    data: String,
    images: usize,
    corrupt: Value,
    severities: Vec<usize>,
    severity_table: String,
    frost: String,
    /// Of the images, where they are known here.
    sha256: Option<String>,
}

/// One of them, in percent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    value: f64,
    clean: Option<f64>,
}

const PUBLISHED: &str = include_str!("published.json");

/// A line of a ranking, in percent.
struct Line {
    name: String,
    clean: Option<f64>,
    value: f64,
    source: String,
}

/// Lines in order, the best first.
pub(super) struct Ranking {
    heading: &'static str,
    lines: Vec<Line>,
}

/// What own results are called in a ranking.
const OWN: &str = "this measurement";

fn published() -> Result<Vec<Published>> {
    serde_json::from_str(PUBLISHED).context("the published results of this program")
}

impl Ranking {
    /// Ranks a measurement beside the published results of its data, if there are some, and those in result files.
    ///
    /// # Errors
    /// If one of them was made under another protocol: names the key, and both values.
    pub(super) fn of(protocol: &Protocol, recorder: &Recorder, files: &[PathBuf]) -> Result<Self> {
        let is_of = |group: &Published| match &group.protocol.sha256 {
            Some(sha256) => *sha256 == protocol.sha256 || group.protocol.data == protocol.data,
            None => group.protocol.data == protocol.data,
        };
        let all = published()?;
        let group = all.iter().find(|group| is_of(group));
        let metric = group.map_or("error", |group| group.metric.as_str());
        let (heading, is_mce) = match metric {
            MCE_ALEXNET => ("mCE (AlexNet) %", true),
            _ => ("corrupted error %", false),
        };
        let read = |name: String, measurements: &[Measurement], source: String| -> Result<Line> {
            let mean = || shifted(measurements, "error").first().map(|(_, errors)| errors.mean());
            let found = if is_mce { value(measurements, &format!("{SET}-c"), MCE_ALEXNET) } else { mean() };
            let found = found.with_context(|| format!("{source}: it has no {heading}"))?;
            let clean = value(measurements, SET, "error").map(|clean| 100. * clean);
            Ok(Line { name, clean, value: 100. * found, source })
        };
        let mut lines = vec![read(recorder.header().row.clone(), recorder.measurements(), OWN.to_string())?];
        if let Some(group) = group {
            group.check(protocol)?;
            lines.extend(group.results.iter().map(|entry| entry.line(&group.source)));
        }
        for file in files {
            let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let results = Results::parse(&text).with_context(|| file.display().to_string())?;
            same(protocol, &results.header.run, file)?;
            lines.push(read(results.header.row.clone(), &results.measurements, file.display().to_string())?);
        }
        ensure!(
            lines.len() > 1,
            "--rank: no published results on {} are known here ({} are), and no result files are named: --rank other.jsonl",
            protocol.data,
            all.iter().map(|group| group.protocol.data.as_str()).collect::<Vec<_>>().join(", ")
        );
        lines.sort_by(|a, b| a.value.total_cmp(&b.value));
        Ok(Self { heading, lines })
    }

    /// As a table.
    pub(super) fn grid(&self) -> Grid {
        let mut grid = Grid::new(["", "rank", "clean error %", self.heading, "source"].map(str::to_string).to_vec());
        for (index, Line { name, clean, value, source }) in self.lines.iter().enumerate() {
            let clean = clean.map_or("–".to_string(), |clean| format!("{clean:.2}"));
            grid.push(vec![name.clone(), (index + 1).to_string(), clean, format!("{value:.2}"), source.clone()]);
        }
        grid
    }
}

impl Entry {
    fn line(&self, source: &str) -> Line {
        Line { name: self.name.clone(), clean: self.clean, value: self.value, source: source.to_string() }
    }
}

impl Published {
    /// Refuses a measurement of another protocol.
    fn check(&self, own: &Protocol) -> Result<()> {
        let Told { data, images, corrupt, severities, severity_table, frost, sha256 } = &self.protocol;
        let benchmark: Vec<&str> = benchmark().collect();
        let own_corrupt = serde_json::to_value(own.corrupt)?;
        let differs: [(&str, bool, String, String); 7] = [
            (
                "sha256",
                sha256.as_ref().is_some_and(|sha256| *sha256 != own.sha256),
                own.sha256.clone(),
                sha256.clone().unwrap_or_default(),
            ),
            ("images", *images != own.images, own.images.to_string(), images.to_string()),
            ("corrupt", *corrupt != own_corrupt, own_corrupt.to_string(), corrupt.to_string()),
            ("corruptions", benchmark != own.corruptions, own.corruptions.join(", "), "the 15 of the benchmark".to_string()),
            ("severities", *severities != own.severities, format!("{:?}", own.severities), format!("{severities:?}")),
            ("severity_table", *severity_table != own.severity_table, own.severity_table.clone(), severity_table.clone()),
            ("frost", *frost != own.frost, own.frost.clone(), format!("{frost} (--frost-dir names their folder)")),
        ];
        for (key, differs, own, theirs) in differs {
            ensure!(
                !differs,
                "--rank: not to be compared with the published results on {data}: {key} is {own} here, and {theirs} there"
            );
        }
        Ok(())
    }
}

/// Refuses results of another protocol; how images become inputs belongs to the model.
fn same(own: &Protocol, run: &Value, file: &Path) -> Result<()> {
    let Some(Value::Object(theirs)) = run.get("protocol") else {
        bail!("{}: results without a protocol; those that robustness --results wrote are wanted", file.display())
    };
    let Value::Object(own) = serde_json::to_value(own)? else { return Ok(()) };
    for (key, value) in own.iter().filter(|(key, _)| !["input", "data"].contains(&key.as_str())) {
        let other = theirs.get(key).unwrap_or(&Value::Null);
        ensure!(value == other, "--rank: {} is not to be compared: {key} is {other} there, and {value} here", file.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Corrupt;

    #[test]
    fn published_results_are_compared_with_their_own_protocol_alone() -> Result<()> {
        let all = published()?;
        let cifar = all.iter().find(|group| group.protocol.data == "cifar10").context("cifar10")?;
        let own = Protocol {
            data: "cifar10".to_string(),
            images: 10_000,
            sha256: cifar.protocol.sha256.clone().unwrap_or_default(),
            corrupt: Corrupt::Fitted,
            corruptions: benchmark().map(str::to_string).collect(),
            severities: (1..=5).collect(),
            severity_table: "cifar".to_string(),
            frost: "photographs".to_string(),
            seed: 3,
            input: Value::Null,
        };
        cifar.check(&own)?;
        let refused = |change: fn(&mut Protocol)| {
            let mut other = own.clone();
            change(&mut other);
            cifar.check(&other).unwrap_err().to_string()
        };
        assert!(
            refused(|own| own.frost = "generated textures".to_string())
                .contains("frost is generated textures here, and photographs")
        );
        assert!(refused(|own| own.images = 500).contains("images is 500 here, and 10000 there"));
        assert!(refused(|own| own.severities = vec![5]).contains("severities is [5] here"));
        assert!(refused(|own| own.corrupt = Corrupt::Original).contains("corrupt is \"original\" here, and \"fitted\""));
        assert!(refused(|own| _ = own.corruptions.pop()).contains("corruptions"));
        assert!(refused(|own| own.sha256.clear()).contains("sha256"));
        // every number is a percentage, and every row occurs once
        for group in &all {
            let mut names: Vec<&str> = group.results.iter().map(|entry| entry.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert!(names.len() == group.results.len() && group.results.iter().all(|entry| (5. ..100.).contains(&entry.value)));
        }
        Ok(())
    }
}

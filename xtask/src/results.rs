//! Results files, `results/<table>/<row>/seed-<n>.jsonl`, as reports read them: by split and metric, and by row and seed.
//!
//! The program that evaluates writes them; `sncn_record::results` says what is in them.

use crate::table::{self, Table};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sncn_record::Task;
use sncn_record::corruption_error::CorruptionErrors;
use sncn_record::results::Header;
use sncn_record::run::without_remarks;
use sncn_report::Bin;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A complete results file.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    /// Its header.
    pub(crate) header: Header,
    /// Values by split and metric, in fractions, with the number of examples.
    values: BTreeMap<(String, String), (f64, usize)>,
    /// Splits in the file's order.
    splits: Vec<String>,
}

impl Results {
    /// Reads a results file.
    ///
    /// # Errors
    /// Where it is missing, cut short or of another layout.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{}: not readable", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads the text of a results file.
    ///
    /// # Errors
    /// Where it is cut short or of another layout.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let sncn_record::Results { header, measurements } = sncn_record::Results::parse(text)?;
        let (mut values, mut splits) = (BTreeMap::new(), Vec::new());
        for found in measurements {
            if splits.last() != Some(&found.split) && !splits.contains(&found.split) {
                splits.push(found.split.clone());
            }
            values.insert((found.split, found.metric), (found.value, found.n));
        }
        Ok(Self { header, values, splits })
    }

    /// A value of one split, as a fraction.
    pub(crate) fn value(&self, split: &str, metric: &str) -> Option<f64> {
        self.values.get(&(split.to_string(), metric.to_string())).map(|(value, _)| *value)
    }

    /// The examples (or pixels) that a set's metric was taken over (in each cell, for a corrupted set).
    pub(crate) fn examples(&self, set: &str, wanted: &str) -> Option<usize> {
        let of_set = |split: &str| split == set || split.strip_prefix(set).is_some_and(|rest| rest.starts_with('/'));
        self.values.iter().find(|((split, metric), _)| metric == wanted && of_set(split)).map(|(_, (_, n))| *n)
    }

    /// The splits, in the file's order.
    pub(crate) fn splits(&self) -> impl Iterator<Item = &str> {
        self.splits.iter().map(String::as_str)
    }

    /// The numbers of a split whose metric is `<family>/<a>/<b>`, with a and b: those of its confusion counts, or of its bins.
    fn family(&self, split: &str, family: &str) -> impl Iterator<Item = (usize, &str, f64)> {
        let start = (split.to_string(), format!("{family}/"));
        let here = self
            .values
            .range(start.clone()..)
            .take_while(move |((split, metric), _)| *split == start.0 && metric.starts_with(&start.1));
        here.filter_map(|((_, metric), (value, _))| {
            let mut parts = metric.split('/').skip(1);
            Some((parts.next()?.parse().ok()?, parts.next()?, *value))
        })
    }

    /// The classes whose IoU was measured on a split.
    pub(crate) fn classes_of(&self, split: &str) -> Vec<&str> {
        let metrics = self.values.keys().filter(|(own, _)| own == split).map(|(_, metric)| metric.as_str());
        let measured: Vec<&str> = metrics.filter_map(|metric| metric.strip_prefix("iou/")).collect();
        self.header.classes.iter().map(String::as_str).filter(|class| measured.contains(class)).collect()
    }

    /// The metrics of a split, in the order of the CSV file.
    pub(crate) fn metrics(&self, task: &Task, split: &str) -> Vec<String> {
        let own = task.metrics().map(str::to_string);
        own.chain(self.classes_of(split).into_iter().map(|class| format!("iou/{class}"))).collect()
    }

    /// (label, prediction, count) of the cells of a split's confusion matrix that are not 0.
    pub(crate) fn confusion(&self, split: &str) -> Vec<(usize, usize, f64)> {
        let cells = self.family(split, "confusion");
        cells.filter_map(|(label, prediction, count)| Some((label, prediction.parse().ok()?, count))).collect()
    }

    /// The bins of confidence of a split that are not empty.
    pub(crate) fn reliability(&self, split: &str) -> Vec<Bin> {
        let mut bins: BTreeMap<usize, Bin> = BTreeMap::new();
        for (index, what, value) in self.family(split, "reliability") {
            let bin = bins.entry(index).or_insert(Bin { index, count: 0., accuracy: 0., confidence: 0. });
            match what {
                "count" => bin.count = value,
                "accuracy" => bin.accuracy = value,
                "confidence" => bin.confidence = value,
                _ => {}
            }
        }
        bins.into_values().collect()
    }

    /// What training told by epoch, under a name.
    pub(crate) fn epochs(&self, name: &str) -> BTreeMap<usize, f64> {
        self.family("training", name).map(|(epoch, _, value)| (epoch, value)).collect()
    }

    /// The mean over corruptions and severities of the error beyond that on the set that was corrupted.
    pub(crate) fn relative(&self, set: &str) -> Option<f64> {
        let base = set.strip_suffix("-c-files").or_else(|| set.strip_suffix("-c"))?;
        Some(self.mean(set, "error")? - self.value(base, "error")?)
    }

    /// A value of a set: its own, or the mean over all its corruptions and severities.
    pub(crate) fn of_set(&self, set: &str, metric: &str) -> Option<f64> {
        self.value(set, metric).or_else(|| self.mean(set, metric))
    }

    /// The errors of a set by corruption and severity.
    pub(crate) fn corruption_errors(&self, set: &str) -> CorruptionErrors {
        let mut errors = CorruptionErrors::default();
        for split in &self.splits {
            let corruption = split.strip_prefix(set).and_then(|rest| rest.strip_prefix('/')?.split('/').next());
            if let (Some(corruption), Some(error)) = (corruption, self.value(split, "error")) {
                errors.add(corruption, error);
            }
        }
        errors
    }

    /// The corruptions of a set, in the file's order.
    pub(crate) fn corruptions(&self, set: &str) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for split in &self.splits {
            let name = split.strip_prefix(set).and_then(|rest| rest.strip_prefix('/')?.split('/').next());
            names.extend(name.filter(|name| !names.contains(name)));
        }
        names
    }

    /// The mean over the splits below `prefix`, as a fraction.
    pub(crate) fn mean(&self, prefix: &str, metric: &str) -> Option<f64> {
        let below = |split: &str| split.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'));
        let cells: Vec<f64> =
            self.splits.iter().filter(|split| below(split)).filter_map(|split| self.value(split, metric)).collect();
        (!cells.is_empty()).then(|| cells.iter().sum::<f64>() / cells.len() as f64)
    }

    /// Whether frost was generated, and a corrupted set was measured with it.
    pub(crate) fn has_generated_frost(&self) -> bool {
        self.splits.iter().any(|split| split.contains("/frost/"))
            && self.header.notes.iter().any(|note| note.contains("frost: generated"))
    }
}

/// All results of a table, with what was left out and why.
pub(crate) struct Collected {
    /// Complete files of the table's rows, by row (in table order) and seed.
    pub(crate) rows: Vec<(table::Row, Vec<Results>)>,
    /// `file: reason`.
    pub(crate) left_out: Vec<String>,
}

/// Reads all results of a table.
pub(crate) fn collect(table: &Table) -> Collected {
    let mut left_out = Vec::new();
    let rows = table.rows().iter().cloned().map(|row| {
        let folder = table.results().join(table::safe(&row.name));
        let mut found: Vec<Results> = Vec::new();
        for file in crate::files::names(&folder, "jsonl").iter().filter(|name| !name.starts_with('.')) {
            let path = folder.join(format!("{file}.jsonl"));
            match Results::read(&path).and_then(|results| fits(&row, results)) {
                Ok(results) => found.push(results),
                Err(error) => left_out.push(format!("{}: {error:#}", path.display())),
            }
        }
        found.sort_by_key(|results| results.header.seed);
        (row, found)
    });
    Collected { rows: rows.collect(), left_out }
}

fn fits(row: &table::Row, results: Results) -> Result<Results> {
    ensure!(results.header.row == row.name, "it is of row {:?}, not {:?}", results.header.row, row.name);
    match row.difference(&results.header.run) {
        Some(key) => bail!("made with another {key:?} than the table has now; cargo xtask reproduce makes it again"),
        None => Ok(results),
    }
}

/// Why a results file has to be made, or nothing where it is up to date.
pub(crate) fn wanted(path: &Path, seed: u64, run: &Value) -> Option<String> {
    if !path.exists() {
        return Some("missing".to_string());
    }
    let results = match Results::read(path) {
        Ok(results) => results,
        Err(error) => return Some(format!("damaged: {error:#}")),
    };
    if results.header.seed != seed {
        return Some(format!("{}: it is of seed {}", path.display(), results.header.seed));
    }
    let (old, new) = (without_remarks(results.header.run), without_remarks(run.clone()));
    if old == new {
        return None;
    }
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return Some("damaged: no run".to_string()) };
    let key = old.keys().chain(new.keys()).find(|key| old.get(*key) != new.get(*key))?;
    let show = |map: &serde_json::Map<String, Value>| map.get(key).map_or("absent".to_string(), Value::to_string);
    Some(format!("the table has changed: {key:?} was {} and is {}", show(old), show(new)))
}

/// The first run folder beside `path` that is free to put an old one aside.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let free = (1..u32::MAX).map(|n| path.with_file_name(format!("{name}.old-{n}"))).find(|path| !path.exists());
    free.unwrap_or_else(|| path.with_file_name(format!("{name}.old")))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// The text of a results file: a clean set `s`, and `s-c` with two corruptions at two severities around `corrupted`.
    pub(crate) fn text(row: &str, seed: u64, run: &Value, clean: f64, corrupted: f64) -> String {
        let header = json!({"format": 1, "table": "t", "row": row, "seed": seed, "run": run, "commit": "0123456789abcdef",
            "dirty": true, "version": "0.1.0", "machine": {"cpu": "A CPU", "cores": 2, "os": "linux x86_64"},
            "selection": "last", "notes": ["frost: generated textures"]});
        let mut lines = vec![header.to_string()];
        let mut add = |split: &str, value: f64| {
            for (metric, value) in [("error", value), ("ece", value / 10.)] {
                lines.push(json!({"split": split, "metric": metric, "value": value, "n": 50}).to_string());
            }
        };
        add("s", clean);
        for (name, shift) in [("fog", -0.01), ("frost", 0.01)] {
            for severity in 1..=2 {
                add(&format!("s-c/{name}/{severity}"), corrupted + shift + (f64::from(severity) - 1.5) * 0.1);
            }
        }
        let count = lines.len() - 1;
        lines.push(json!({"complete": true, "measurements": count}).to_string());
        lines.join("\n") + "\n"
    }

    /// The same with class names, confusion counts and two bins of `s`.
    pub(crate) fn detailed(row: &str, seed: u64, run: &Value, clean: f64, corrupted: f64) -> String {
        let plain = text(row, seed, run, clean, corrupted).replacen('{', "{\"classes\":[\"cat\",\"dog\"],", 1);
        let mut lines: Vec<String> = plain.lines().map(str::to_string).collect();
        lines.pop();
        let cells = [("confusion/0/0", 20.), ("confusion/1/0", 10.), ("confusion/1/1", 20.), ("macro_f1", 0.8)];
        let low = [("reliability/7/count", 10.), ("reliability/7/accuracy", 0.4), ("reliability/7/confidence", 0.5)];
        let high = [("reliability/12/count", 40.), ("reliability/12/accuracy", 0.9), ("reliability/12/confidence", 0.85)];
        for (metric, value) in cells.iter().chain(&low).chain(&high) {
            lines.push(json!({"split": "s", "metric": metric, "value": value, "n": 50}).to_string());
        }
        lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
        lines.join("\n") + "\n"
    }

    #[test]
    fn means_are_over_all_cells_and_corruptions_keep_their_order() -> Result<()> {
        let results = Results::parse(&text("a", 0, &json!({}), 0.1, 0.3))?;
        assert_eq!(results.of_set("s", "error"), Some(0.1));
        assert!((results.of_set("s-c", "error").unwrap() - 0.3).abs() < 1e-12);
        assert!((results.mean("s-c/fog", "error").unwrap() - 0.29).abs() < 1e-12);
        assert_eq!(results.corruptions("s-c"), ["fog", "frost"]);
        assert_eq!(
            (results.examples("s-c", "error"), results.examples("s", "error"), results.examples("t", "error")),
            (Some(50), Some(50), None)
        );
        assert!(results.has_generated_frost());
        assert!((results.relative("s-c").unwrap() - 0.2).abs() < 1e-12);
        assert_eq!((results.relative("s"), results.confusion("s").len(), results.reliability("s").len()), (None, 0, 0));
        Ok(())
    }

    #[test]
    fn confusion_counts_and_bins_are_read() -> Result<()> {
        let results = Results::parse(&detailed("a", 0, &json!({}), 0.2, 0.3))?;
        assert_eq!(results.confusion("s"), [(0, 0, 20.), (1, 0, 10.), (1, 1, 20.)]);
        let bins = results.reliability("s");
        assert_eq!(bins.iter().map(|bin| bin.index).collect::<Vec<_>>(), [7, 12]);
        assert_eq!(bins[1], Bin { index: 12, count: 40., accuracy: 0.9, confidence: 0.85 });
        assert_eq!((results.header.classes.len(), results.examples("s", "error")), (2, Some(50)));
        Ok(())
    }

    #[test]
    fn a_file_that_was_cut_short_is_refused() {
        let whole = text("a", 0, &json!({}), 0.1, 0.3);
        let lines: Vec<&str> = whole.lines().collect();
        let error = |text: &str| format!("{:#}", Results::parse(text).unwrap_err());
        assert!(error(&lines[..4].join("\n")).contains("cut short"));
    }

    #[test]
    fn what_has_to_be_made_is_explained() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("seed-0.jsonl");
        let run = json!({"epochs": 1, "note": "old"});
        assert_eq!(wanted(&path, 0, &run).as_deref(), Some("missing"));
        fs::write(&path, text("a", 0, &run, 0.1, 0.3))?;
        assert_eq!(wanted(&path, 0, &json!({"epochs": 1, "note": "new"})), None);
        let why = wanted(&path, 0, &json!({"epochs": 2})).unwrap_or_default();
        assert_eq!(why, "the table has changed: \"epochs\" was 1 and is 2");
        fs::write(&path, "{}")?;
        assert!(wanted(&path, 0, &run).is_some_and(|why| why.starts_with("damaged")));
        Ok(())
    }
}

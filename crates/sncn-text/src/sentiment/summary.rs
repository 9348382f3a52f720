//! What `sncn-sentiment evaluate` prints.

use anyhow::Result;
use sncn_core::harness::Measurement;
use sncn_core::shift::ShiftErrors;

pub(super) struct Summary<'a> {
    measurements: &'a [Measurement],
}

impl<'a> Summary<'a> {
    pub(super) fn new(measurements: &'a [Measurement]) -> Self {
        Self { measurements }
    }

    /// The measurements as JSON lines.
    pub(super) fn json(&self) -> Result<()> {
        for measurement in self.measurements {
            out!("{}", serde_json::to_string(measurement)?);
        }
        Ok(())
    }

    fn accuracies(&self) -> impl Iterator<Item = &'a Measurement> {
        self.measurements.iter().filter(|one| one.metric == "accuracy")
    }

    /// A row for each test set, then a table of each shifted one by shift and severity.
    pub(super) fn print(&self) {
        out!("{:24} {:>8} {:>10} {:>10} {:>8}", "test set", "texts", "accuracy %", "macro F1 %", "ECE %");
        for one in self.accuracies().filter(|one| !one.split.contains('/')) {
            let percent = |metric: &str| {
                let found = self.measurements.iter().find(|other| other.split == one.split && other.metric == metric);
                found.map_or(f64::NAN, |found| 100. * found.value)
            };
            let (accuracy, f1, ece) = (percent("accuracy"), percent("macro_f1"), percent("ece"));
            out!("{:24} {:8} {accuracy:10.2} {f1:10.2} {ece:8.2}", one.split, one.n);
        }
        let mut sets: Vec<(&str, ShiftErrors)> = Vec::new();
        for one in self.accuracies() {
            let Some((set, rest)) = one.split.split_once('/') else { continue };
            if sets.last().is_none_or(|(last, _)| *last != set) {
                sets.push((set, ShiftErrors::default()));
            }
            if let Some((_, rows)) = sets.last_mut() {
                rows.add(rest.split('/').next().unwrap_or_default(), one.value);
            }
        }
        for (set, rows) in sets {
            out!("\n{set}: accuracy % by shift and severity");
            out!("{:24} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}", "", 1, 2, 3, 4, 5, "mean");
            for ((name, row), mean) in rows.rows().iter().zip(rows.of_corruptions()) {
                let cells: String = row.iter().map(|value| format!(" {:7.2}", 100. * value)).collect();
                out!("{name:24}{cells} {:7.2}", 100. * mean);
            }
            out!("mean over shifts and severities {:.2} %", 100. * rows.mean());
        }
    }
}

//! What `sncn-sentiment evaluate` prints.

use anyhow::Result;
use sncn_core::harness::Measurement;

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

    /// A row for each test set.
    pub(super) fn print(&self) {
        out!("{:24} {:>8} {:>10} {:>10} {:>8}", "test set", "texts", "accuracy %", "macro F1 %", "ECE %");
        for one in self.measurements.iter().filter(|one| one.metric == "accuracy") {
            let percent = |metric: &str| {
                let found = self.measurements.iter().find(|other| other.split == one.split && other.metric == metric);
                found.map_or(f64::NAN, |found| 100. * found.value)
            };
            let (accuracy, f1, ece) = (percent("accuracy"), percent("macro_f1"), percent("ece"));
            out!("{:24} {:8} {accuracy:10.2} {f1:10.2} {ece:8.2}", one.split, one.n);
        }
    }
}

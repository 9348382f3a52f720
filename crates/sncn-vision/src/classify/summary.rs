//! What `sncn-classify evaluate` prints and writes as CSV, and the numbers derived from its measurements.

use super::test_sets::uncorrupted;
use sncn_train::corruption_error::CorruptionErrors;
use sncn_train::harness::Measurement;
use sncn_train::harness::summary::{print_shifted, shifted, value};

/// A reader of measurements.
pub struct Summary<'a> {
    measurements: &'a [Measurement],
}

impl<'a> Summary<'a> {
    /// Of these measurements.
    pub fn new(measurements: &'a [Measurement]) -> Self {
        Self { measurements }
    }

    /// Errors of the corrupted sets, in the order in which they were measured.
    pub fn corrupted(&self) -> Vec<(&'a str, CorruptionErrors)> {
        shifted(self.measurements, "error")
    }

    /// Prints a table of the sets, and one of each corrupted set by corruption and severity.
    pub fn print(&self) {
        out!("{:24} {:>8} {:>10} {:>8}", "test set", "error %", "macro F1 %", "ECE %");
        let percent = |split: &str, metric: &str| value(self.measurements, split, metric).map(|value| 100. * value);
        for m in self.measurements.iter().filter(|m| m.metric == "error" && !m.split.contains('/')) {
            let [f1, ece] = ["macro_f1", "ece"].map(|metric| percent(&m.split, metric).unwrap_or(f64::NAN));
            out!("{:24} {:8.2} {f1:10.2} {ece:8.2}", m.split, 100. * m.value);
            if let (Some(whole), Some(same)) = (percent(&m.split, "error_f32"), percent(&m.split, "agreement_f32")) {
                out!("{:24} in f32 the error is {whole:.2} %; bf16 gives the same label to {same:.2} %", "");
            }
        }
        for (set, errors) in self.corrupted() {
            print_shifted(&format!("{set}: error % by corruption and severity"), &errors);
            out!("mean corruption error (unnormalised) {:.2} %", 100. * errors.mean());
            let Some(base) = uncorrupted(set) else { continue };
            if let Some(clean) = value(self.measurements, base, "error") {
                let (relative, clean) = (100. * errors.relative(clean), 100. * clean);
                out!("relative corruption error {relative:.2} points: the mean beyond the {clean:.2} % of {base}");
            }
        }
    }

    /// The errors of corrupted sets in percent: a row for each corruption, a column for each severity, and their mean.
    pub fn csv(&self) -> String {
        let sets = self.corrupted();
        let rows = sets.iter().flat_map(|(_, errors)| errors.rows());
        let severities = rows.map(|(_, errors)| errors.len()).max().unwrap_or(0);
        let head: String = (1..=severities).map(|severity| format!(",{severity}")).collect();
        let mut text = format!("set,corruption{head},mean\n");
        for (set, errors) in &sets {
            for ((name, row), mean) in errors.rows().iter().zip(errors.by_corruption()) {
                let cells: String = row.iter().chain([&mean]).map(|error| format!(",{:.4}", 100. * error)).collect();
                text += &format!("{set},{name}{cells}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(split: &str, metric: &str, value: f64) -> Measurement {
        Measurement { split: split.to_string(), metric: metric.to_string(), value, n: 10 }
    }

    #[test]
    fn errors_of_corrupted_sets_become_rows() {
        let measurements = [
            measured("s", "error", 0.1),
            measured("s-c/fog/1", "error", 0.2),
            measured("s-c/fog/1", "ece", 0.9),
            measured("s-c/fog/2", "error", 0.4),
            measured("s-c/snow/1", "error", 0.125),
            measured("s-c/snow/2", "error", 0.25),
        ];
        let summary = Summary::new(&measurements);
        let text = "set,corruption,1,2,mean\ns-c,fog,20.0000,40.0000,30.0000\ns-c,snow,12.5000,25.0000,18.7500\n";
        assert_eq!(summary.csv(), text);
        assert_eq!(summary.corrupted().len(), 1);
    }
}

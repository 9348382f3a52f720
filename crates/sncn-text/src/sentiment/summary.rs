//! What `sncn-sentiment evaluate` prints.

use sncn_train::harness::Measurement;
use sncn_train::harness::summary::{print_shifted, shifted, value};

/// A row for each test set, then a table of each shifted one by shift and severity.
pub(super) fn print(measurements: &[Measurement]) {
    out!("{:24} {:>8} {:>10} {:>10} {:>8}", "test set", "texts", "accuracy %", "macro F1 %", "ECE %");
    for one in measurements.iter().filter(|one| one.metric == "accuracy" && !one.split.contains('/')) {
        let percent = |metric: &str| 100. * value(measurements, &one.split, metric).unwrap_or(f64::NAN);
        let (accuracy, f1, ece) = (percent("accuracy"), percent("macro_f1"), percent("ece"));
        out!("{:24} {:8} {accuracy:10.2} {f1:10.2} {ece:8.2}", one.split, one.n);
    }
    for (set, rows) in shifted(measurements, "accuracy") {
        print_shifted(&format!("{set}: accuracy % by shift and severity"), &rows);
        out!("mean over shifts and severities {:.2} %", 100. * rows.mean());
    }
}

//! Reading measurements back: one number, and those of shifted test sets by shift and severity; what `evaluate` prints of them.

use super::Measurement;
use crate::corruption_error::{CorruptionErrors, NORMALISED};
use anyhow::{Result, ensure};
use sncn_record::Task;

/// What was measured of a test set, if it was.
pub fn value(measurements: &[Measurement], split: &str, metric: &str) -> Option<f64> {
    measurements.iter().find(|m| m.split == split && m.metric == metric).map(|m| m.value)
}

/// A metric of the shifted sets (`<set>/<shift>/<severity>`), in the order in which they were measured.
pub fn shifted<'a>(measurements: &'a [Measurement], metric: &str) -> Vec<(&'a str, CorruptionErrors)> {
    let mut sets: Vec<(&str, CorruptionErrors)> = Vec::new();
    for m in measurements.iter().filter(|m| m.metric == metric) {
        let Some((set, rest)) = m.split.split_once('/') else { continue };
        if sets.last().is_none_or(|(last, _)| *last != set) {
            sets.push((set, CorruptionErrors::default()));
        }
        if let Some((_, rows)) = sets.last_mut() {
            rows.add(rest.split('/').next().unwrap_or_default(), m.value);
        }
    }
    sets
}

/// The severities at which a shifted set was measured, in order, as its splits name them.
fn severities<'a>(measurements: &'a [Measurement], metric: &str, set: &str) -> Vec<&'a str> {
    let of_set = measurements.iter().filter(|m| m.metric == metric).filter_map(|m| m.split.strip_prefix(set)?.strip_prefix('/'));
    of_set.fold(Vec::new(), |mut all, shift| {
        let severity = shift.rsplit('/').next().unwrap_or_default();
        if !all.contains(&severity) {
            all.push(severity);
        }
        all
    })
}

/// The set that a shifted or corrupted test set is made of; none for a set as it is.
pub fn unshifted(name: &str) -> Option<&str> {
    name.strip_suffix("-c-files").or_else(|| name.strip_suffix("-c"))
}

/// Prints a row for each test set, with the task's columns, then a table of each shifted one by shift and severity.
pub fn print(task: &Task, measurements: &[Measurement]) {
    print_sets(task, measurements);
    print_shifts(task, measurements);
}

/// Prints a row for each test set as a whole.
pub fn print_sets(task: &Task, measurements: &[Measurement]) {
    let heads: String = task.columns.iter().map(|(_, head)| format!(" {head:>12}")).collect();
    crate::out!("{:24} {:>8}{heads}", "test set", task.counted);
    for one in measurements.iter().filter(|one| one.metric == task.metric && !one.split.contains('/')) {
        let percent = |metric: &str| value(measurements, &one.split, metric).map(|value| 100. * value);
        let cell = |metric| percent(metric).map_or(format!(" {:>12}", "-"), |value| format!(" {value:12.2}"));
        let cells: String = task.columns.iter().map(|(metric, _)| cell(metric)).collect();
        crate::out!("{:24} {:8}{cells}", one.split, one.n);
        let exact = percent(&format!("{}_f32", task.metric));
        if let Some(exact) = exact {
            let same =
                percent("agreement_f32").map_or(String::new(), |same| format!("; bf16 gives the same class to {same:.2} %"));
            crate::out!("{:24} in f32 the {} is {exact:.2} %{same}", "", task.called);
        }
        let of_part = |metric: &str| value(measurements, &one.split, metric);
        print_scaled(["ece", "ece_scaled", "nll", "nll_scaled"].map(of_part));
    }
}

/// The mean of a metric over the parts of a shifted set, if it was measured.
fn mean(measurements: &[Measurement], set: &str, metric: &str) -> Option<f64> {
    let rows = shifted(measurements, metric).into_iter().find(|(name, _)| *name == set);
    rows.map(|(_, rows)| rows.mean()).filter(|mean| mean.is_finite())
}

/// Prints ECE and NLL before and after temperature scaling, where both were measured.
fn print_scaled(measured: [Option<f64>; 4]) {
    if let [Some(ece), Some(ece_scaled), Some(nll), Some(nll_scaled)] = measured {
        let (ece, scaled) = (100. * ece, 100. * ece_scaled);
        crate::out!("{:24} with the temperature ECE {ece:.2} -> {scaled:.2} %, NLL {nll:.4} -> {nll_scaled:.4}", "");
    }
}

/// Prints the main metric of every shifted set: a row for each shift, a column for each severity, and the means.
pub fn print_shifts(task: &Task, measurements: &[Measurement]) {
    for (set, rows) in shifted(measurements, task.metric) {
        crate::out!("\n{set}: {} % by shift and severity", task.called);
        let severities = severities(measurements, task.metric, set);
        let heads: String = severities.iter().map(|severity| format!(" {severity:>7}")).collect();
        crate::out!("{:24}{heads} {:>7}", "", "mean");
        for ((name, row), mean) in rows.rows().iter().zip(rows.by_corruption()) {
            let cells: String = row.iter().map(|value| format!(" {:7.2}", 100. * value)).collect();
            crate::out!("{name:24}{cells} {:7.2}", 100. * mean);
        }
        let of = match task.low && !rows.is_benchmark() {
            true => format!(" of {} x {}, which are not the benchmark's", rows.rows().len(), severities.len()),
            false => String::new(),
        };
        crate::out!("{}{of} {:.2} %", task.corrupted.1, 100. * rows.mean());
        print_scaled(["ece", "ece_scaled", "nll", "nll_scaled"].map(|metric| mean(measurements, set, metric)));
        for (metric, called) in NORMALISED {
            let found = value(measurements, set, metric);
            found.into_iter().for_each(|found| crate::out!("{called} {:.2} %", 100. * found));
        }
        let clean = unshifted(set).and_then(|base| Some((base, value(measurements, base, task.metric)?)));
        if let Some((base, clean)) = clean {
            let (difference, clean) = (100. * rows.relative(clean), 100. * clean);
            crate::out!("relative: {difference:+.2} points beyond the {clean:.2} % of {base}");
        }
    }
}

/// Refuses test sets of which none is shifted.
///
/// # Errors
/// Names a set that could be added.
pub fn check_csv(tests: &[String]) -> Result<()> {
    let first = tests.first().map_or("", String::as_str);
    ensure!(
        tests.iter().any(|test| unshifted(test).is_some()),
        "none of the test sets {} is shifted; add one such as {first}-c with --test",
        tests.join(", ")
    );
    Ok(())
}

/// The main metric of shifted sets in percent, as CSV: a row for each shift, a column for each severity, and their mean.
pub fn csv(task: &Task, measurements: &[Measurement]) -> String {
    let sets = shifted(measurements, task.metric);
    let severities =
        sets.iter().map(|(set, _)| severities(measurements, task.metric, set)).max_by_key(Vec::len).unwrap_or_default();
    let head: String = severities.iter().map(|severity| format!(",{severity}")).collect();
    let mut text = format!("set,shift{head},mean\n");
    for (set, rows) in &sets {
        for ((name, row), mean) in rows.rows().iter().zip(rows.by_corruption()) {
            let cells: String = row.iter().chain([&mean]).map(|value| format!(",{:.4}", 100. * value)).collect();
            text += &format!("{set},{name}{cells}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(split: &str, metric: &str, value: f64) -> Measurement {
        Measurement { split: split.to_string(), metric: metric.to_string(), value, n: 10 }
    }

    #[test]
    fn shifted_sets_are_told_apart_and_others_left_out() {
        let all = [
            measured("s", "error", 0.1),
            measured("s-c/fog/1", "error", 0.2),
            measured("s-c/fog/1", "ece", 0.9),
            measured("s-c/fog/2", "error", 0.4),
            measured("t-c/fog/1", "error", 0.5),
        ];
        let sets = shifted(&all, "error");
        assert_eq!(sets.iter().map(|(set, _)| *set).collect::<Vec<_>>(), ["s-c", "t-c"]);
        assert_eq!(sets[0].1.rows(), [("fog".to_string(), vec![0.2, 0.4])]);
        assert_eq!((severities(&all, "error", "s-c"), severities(&all, "error", "t-c")), (vec!["1", "2"], vec!["1"]));
        let third = csv(&sncn_record::task::CLASSIFY, &[measured("s-c/fog/3", "error", 0.5)]);
        assert_eq!(third, "set,shift,3,mean\ns-c,fog,50.0000,50.0000\n");
        assert_eq!((value(&all, "s-c/fog/1", "ece"), value(&all, "s", "ece")), (Some(0.9), None));
    }

    #[test]
    fn shifted_sets_become_rows_of_csv() {
        let measurements = [
            measured("s", "error", 0.1),
            measured("s-c/fog/1", "error", 0.2),
            measured("s-c/fog/1", "ece", 0.9),
            measured("s-c/fog/2", "error", 0.4),
            measured("s-c/snow/1", "error", 0.125),
            measured("s-c/snow/2", "error", 0.25),
        ];
        let text = "set,shift,1,2,mean\ns-c,fog,20.0000,40.0000,30.0000\ns-c,snow,12.5000,25.0000,18.7500\n";
        assert_eq!(csv(&sncn_record::task::CLASSIFY, &measurements), text);
        assert!(check_csv(&["s".to_string(), "s-c".to_string()]).is_ok());
        let error = check_csv(&["s".to_string()]).unwrap_err();
        assert!(error.to_string().contains("none of the test sets s is shifted; add one such as s-c"));
    }
}

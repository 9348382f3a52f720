//! Reading measurements back: one number, and those of shifted test sets by shift and severity.

use super::Measurement;
use crate::corruption_error::CorruptionErrors;
use crate::out;

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

/// Prints the numbers of one shifted set in percent: a row for each shift, a column for each severity, and their mean.
pub fn print_shifted(title: &str, rows: &CorruptionErrors) {
    out!("\n{title}");
    out!("{:24} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7}", "", 1, 2, 3, 4, 5, "mean");
    for ((name, row), mean) in rows.rows().iter().zip(rows.by_corruption()) {
        let cells: String = row.iter().map(|value| format!(" {:7.2}", 100. * value)).collect();
        out!("{name:24}{cells} {:7.2}", 100. * mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_sets_are_told_apart_and_others_left_out() {
        let measured = |split: &str, metric: &str, value: f64| Measurement {
            split: split.to_string(),
            metric: metric.to_string(),
            value,
            n: 10,
        };
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
        assert_eq!((value(&all, "s-c/fog/1", "ece"), value(&all, "s", "ece")), (Some(0.9), None));
    }
}

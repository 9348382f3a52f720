//! The parts of a report on how networks were tested: the error by severity, and calibration before and after a temperature.

use crate::results::Results;
use crate::sheet::{NONE, Sheet, distinct, percent};
use crate::statistics::Estimate;
use crate::table::Row;
use serde_json::Value;
use sncn_report::Grid;

/// The severities of a corrupted set, in order.
fn severities<'a>(sheet: &Sheet<'a>, set: &str) -> Vec<&'a str> {
    let splits = sheet.rows().flat_map(|(_, results)| results).flat_map(Results::splits);
    let mut found = distinct(splits.filter_map(|split| split.strip_prefix(set)?.strip_prefix('/')?.rsplit('/').next()));
    found.sort_unstable();
    found
}

/// The mean over corruptions of the main number at one severity.
fn at(results: &Results, set: &str, severity: &str, metric: &str) -> Option<f64> {
    let is_part = |split: &str| {
        split.strip_prefix(set).is_some_and(|rest| rest.starts_with('/') && rest.ends_with(&format!("/{severity}")))
    };
    let cells: Vec<f64> =
        results.splits().filter(|split| is_part(split)).filter_map(|split| results.value(split, metric)).collect();
    (!cells.is_empty()).then(|| cells.iter().sum::<f64>() / cells.len() as f64)
}

/// Rows × severities of a corrupted set, in tables whose rows adapt to test examples: what is published of that is of severity 5 alone.
pub(crate) fn by_severity(sheet: &Sheet, set: &str) -> Grid {
    let severities = if sheet.rows().any(|(row, _)| row.adapt != Value::Null) { severities(sheet, set) } else { Vec::new() };
    let mut grid =
        Grid::new(std::iter::once("row".to_string()).chain(severities.iter().map(|one| format!("severity {one}"))).collect());
    let metric = sheet.table.task().metric;
    for (row, results) in sheet.measured().into_iter().filter(|_| !severities.is_empty()) {
        let cells = severities.iter().map(|severity| {
            let values: Vec<f64> =
                results.iter().filter_map(|one| at(one, set, severity, metric)).map(|value| 100. * value).collect();
            Estimate::of(&values).map_or(NONE.to_string(), |estimate| estimate.to_string())
        });
        grid.push(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    grid
}

/// Corruptions of the benchmark that are noise.
const NOISES: [&str; 3] = ["gaussian_noise", "shot_noise", "impulse_noise"];

/// Whether a row is trained on noise, the kin of some corruptions.
fn is_noisy(row: &Row) -> bool {
    let kind = |settings: &Value, known: &[&str]| settings["kind"].as_str().is_some_and(|kind| known.contains(&kind));
    // a restyled image may get noise then
    [&row.augment, &row.augment["then"]].iter().any(|augment| kind(augment, &["noise", "patch_uniform"]))
        || kind(&row.objective, &["adversarial_noise"])
}

/// Rows × corrupted sets, without the corruptions that are noise, in tables of which a row is trained on such.
pub(crate) fn without_noise(sheet: &Sheet) -> Grid {
    let noisy = sheet.measured().iter().any(|(row, _)| is_noisy(row));
    let sets: Vec<&String> = sheet.sets.iter().filter(|set| noisy && sheet.has_corruptions(set)).collect();
    let mut grid = Grid::new(std::iter::once("row".to_string()).chain(sets.iter().map(|set| set.to_string())).collect());
    for (row, results) in sheet.measured().into_iter().filter(|_| !sets.is_empty()) {
        let of = |one: &Results, set: &str| {
            let errors = one.corruption_errors(set);
            let others = errors.rows().iter().filter(|(corruption, _)| !NOISES.contains(&corruption.as_str()));
            let cells: Vec<f64> = others.flat_map(|(_, errors)| errors).map(|error| 100. * error).collect();
            Estimate::of(&cells).map(|estimate| estimate.mean)
        };
        let cells = sets.iter().map(|set| {
            let values: Vec<f64> = results.iter().filter_map(|one| of(one, set)).collect();
            Estimate::of(&values).map_or(NONE.to_string(), |estimate| estimate.to_string())
        });
        grid.push(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    grid
}

/// What objectives tell of the last epoch of training: metric of the results, and heading. First FixMatch's, then adversarial noise's.
const TOLD: [(&str, &str); 5] = [
    ("pseudo_labels", "with a pseudo-label %"),
    ("pseudo_accuracy", "of these right %"),
    ("confidence", "mean confidence %"),
    ("noisy_accuracy", "right under the generator's noise %"),
    ("full_noise", "with noise of full size %"),
];

/// Rows × what the last epoch of training told, where it told something.
pub(crate) fn training(sheet: &Sheet) -> Grid {
    let measured = sheet.measured();
    let has = |metric: &str| measured.iter().any(|(_, results)| percent(results, "training", metric).is_some());
    let told: Vec<(&str, &str)> = TOLD.into_iter().filter(|(metric, _)| has(metric)).collect();
    let headings = told.iter().map(|(_, heading)| *heading);
    let mut grid = Grid::new(std::iter::once("row").chain(headings).map(str::to_string).collect());
    for (row, results) in measured {
        let cells: Vec<_> = told.iter().map(|(metric, _)| percent(results, "training", metric)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.map_or(NONE.to_string(), |cell| cell.to_string()));
            grid.push(std::iter::once(row.name.clone()).chain(cells).collect());
        }
    }
    grid
}

/// Rows × sets: ECE in percent and NLL, before → after scores were divided by a temperature.
pub(crate) fn tempered(sheet: &Sheet) -> Grid {
    let sets: Vec<&String> = sheet.sets.iter().filter(|set| sheet.has(set, "ece_scaled")).collect();
    let heading = sets.iter().flat_map(|set| [format!("{set} ECE %"), format!("{set} NLL")]);
    let mut grid = Grid::new(std::iter::once("row".to_string()).chain(heading).collect());
    let of = |results: &[Results], set: &str, metric: &str, share: f64, digits: usize| {
        let mean = percent(results, set, metric).map(|estimate| estimate.mean / share);
        mean.map_or(NONE.to_string(), |mean| format!("{mean:.digits$}"))
    };
    for (row, results) in sheet.measured() {
        if !sets.iter().any(|set| percent(results, set, "ece_scaled").is_some()) {
            continue;
        }
        let pair = |set: &str, metric: &str, share: f64, digits: usize| {
            let scaled = format!("{metric}_scaled");
            format!("{} → {}", of(results, set, metric, share, digits), of(results, set, &scaled, share, digits))
        };
        let cells = sets.iter().flat_map(|set| [pair(set, "ece", 1., 2), pair(set, "nll", 100., 4)]);
        grid.push(std::iter::once(row.name.clone()).chain(cells).collect());
    }
    grid
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Collected;
    use crate::table::Table;
    use crate::table::tests::complete;
    use serde_json::json;

    #[test]
    fn rows_trained_on_noise_are_shown_without_it() {
        let row = |key: &str, value: serde_json::Value| complete(&[json!({"name": "a", key: value})]);
        let rows = |augment: serde_json::Value| row("augment", augment);
        let mut lines = vec![json!({"format": 1, "row": "a", "seed": 0, "run": {}}).to_string()];
        for (split, error) in [("s-c/shot_noise/1", 0.9), ("s-c/fog/1", 0.1), ("s-c/fog/2", 0.2), ("s-c/impulse_noise/1", 0.8)] {
            lines.push(json!({"split": split, "metric": "error", "value": error, "n": 50}).to_string());
        }
        lines.push(json!({"complete": true, "measurements": 4}).to_string());
        let results = Results::parse(&(lines.join("\n") + "\n")).unwrap();
        let grid = |table: &Table| {
            let rows = table.rows().iter().map(|row| (row.clone(), vec![results.clone()])).collect();
            without_noise(&Sheet::new(table, &Collected { rows, left_out: Vec::new() }))
        };
        let text = grid(&rows(json!({"kind": "noise", "form": "speckle"}))).markdown();
        assert!(text.contains("| row |   s-c |") && text.contains("| a   | 15.00 |"), "{text}");
        assert!(grid(&rows(json!(true))).is_empty());
        let then = json!({"kind": "style", "source": "paintings", "then": {"kind": "noise", "form": "gaussian"}});
        for table in [rows(then), row("objective", json!({"kind": "adversarial_noise"}))] {
            assert!(!grid(&table).is_empty());
        }
    }

    #[test]
    fn severities_and_temperatures_have_their_tables() {
        let table = complete(&[json!({"name": "a", "adapt": {"kind": "batch"}}), json!({"name": "later"})]);
        let mut lines = vec![json!({"format": 1, "row": "a", "seed": 0, "run": {}}).to_string()];
        let mut add = |split: &str, metric: &str, value: f64| {
            lines.push(json!({"split": split, "metric": metric, "value": value, "n": 50}).to_string());
        };
        for (split, error) in [("s-c/fog/1", 0.1), ("s-c/fog/5", 0.3), ("s-c/snow/1", 0.2), ("s-c/snow/5", 0.5)] {
            add(split, "error", error);
            for (metric, value) in [("ece", 0.08), ("ece_scaled", 0.02), ("nll", 1.5), ("nll_scaled", 1.25)] {
                add(split, metric, value);
            }
        }
        for (metric, value) in [("pseudo_labels", 0.4), ("pseudo_accuracy", 0.9)] {
            add("training", metric, value);
        }
        lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
        let results = Results::parse(&(lines.join("\n") + "\n")).unwrap();
        let measured = |table: &Table| Collected {
            rows: table.rows().iter().cloned().zip([vec![results.clone()], Vec::new()]).collect(),
            left_out: Vec::new(),
        };
        let collected = measured(&table);
        let sheet = Sheet::new(&table, &collected);
        let text = by_severity(&sheet, "s-c").markdown();
        assert!(text.contains("severity 1 | severity 5 |") && text.contains("15.00 |      40.00 |"), "{text}");
        let text = training(&sheet).markdown();
        // what no row told has no column
        assert!(text.contains("40.00 |            90.00 |") && !text.contains("confidence"), "{text}");
        let text = tempered(&sheet).markdown();
        assert!(text.contains("8.00 → 2.00 | 1.5000 → 1.2500 |") && !text.contains("later"), "{text}");
        // tables whose rows do not adapt, and results without a temperature, have neither
        let plain = complete(&[json!({"name": "a"}), json!({"name": "later"})]);
        assert!(by_severity(&Sheet::new(&plain, &measured(&plain)), "s-c").is_empty());
        let nothing =
            Collected { rows: plain.rows().iter().cloned().map(|row| (row, Vec::new())).collect(), left_out: Vec::new() };
        assert!(tempered(&Sheet::new(&plain, &nothing)).is_empty());
    }
}

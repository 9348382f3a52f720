//! The verdict of a report: what helped where, what hurt where, and what so many seeds cannot tell, over every row and
//! every test set.

use crate::sheet::{Sheet, distinct};
use crate::statistics::{Estimate, Verdict, chance};

/// Comparisons that a sentence spells out, the largest first; the report has them all in a table.
const MOST: usize = 8;
/// Rows that a sentence names.
const ROWS: usize = 6;

/// A row on a test set, against its baseline.
struct Comparison<'a> {
    row: &'a str,
    set: &'a str,
    difference: Estimate,
    pairs: usize,
}

/// The verdict in at most three sentences.
pub(crate) fn verdict(sheet: &Sheet) -> Vec<String> {
    let against = match sheet.baselines().as_slice() {
        [] => return vec!["This table has no baseline row, so nothing is compared.".to_string()],
        [one] => one.name.clone(),
        _ => "the baseline of its kind".to_string(),
    };
    let (mut judged, mut unjudged) = (Vec::new(), Vec::new());
    for (row, results) in sheet.rows().filter(|(row, _)| !sheet.is_baseline(row)) {
        let found = sheet.sets.iter().filter_map(|set| {
            let (difference, pairs) = sheet.difference(row, results, set)?;
            Some(Comparison { row: &row.name, set, difference, pairs })
        });
        let found: Vec<Comparison> = found.collect();
        match found.iter().map(|one| one.pairs).max() {
            Some(1) => unjudged.push(format!("{} (one seed in common)", row.name)),
            None if results.is_empty() => unjudged.push(format!("{} (no results)", row.name)),
            None => unjudged.push(format!("{} (no seed in common)", row.name)),
            Some(_) => {}
        }
        judged.extend(found.into_iter().filter(|one| one.pairs > 1));
    }
    let measure = sheet.table.task();
    let of = |wanted: Verdict| judged.iter().filter(|one| one.difference.verdict() == wanted).collect::<Vec<_>>();
    let (helped, hurt) = match measure.low {
        true => (of(Verdict::Below), of(Verdict::Above)),
        false => (of(Verdict::Above), of(Verdict::Below)),
    };
    let mut said = Vec::new();
    if !judged.is_empty() {
        let how = format!("by more than two standard errors against {against}");
        let unit = format!("({} in percentage points, paired by seed)", measure.called);
        said.push(match helped.as_slice() {
            [] => format!("Helped: nothing {how} {unit}."),
            helped => format!("Helped, {how} {unit}: {}.", listed(helped)),
        });
        said.push(match hurt.as_slice() {
            [] => "Hurt: nothing by more than two standard errors.".to_string(),
            hurt => format!("Hurt, by more than two standard errors: {}.", listed(hurt)),
        });
    }
    said.push(undecided(&judged, helped.len() + hurt.len(), &unjudged));
    said
}

/// Comparisons by test set: the set of the largest difference first, and in each set the largest first.
fn listed(found: &[&Comparison]) -> String {
    let mut found = found.to_vec();
    found.sort_by(|a, b| b.difference.mean.abs().total_cmp(&a.difference.mean.abs()));
    let (shown, more) = found.split_at(found.len().min(MOST));
    let sets = distinct(shown.iter().map(|one| one.set)).into_iter().map(|set| {
        let rows = shown.iter().filter(|one| one.set == set).map(|one| format!("{} {}", one.row, one.difference.signed()));
        format!("on {set} {}", rows.collect::<Vec<_>>().join(", "))
    });
    let text = sets.collect::<Vec<_>>().join("; ");
    if more.is_empty() { text } else { format!("{text}; and {} smaller", more.len()) }
}

/// What cannot be told: comparisons within two standard errors, false alarms to be expected, rows without a second seed.
fn undecided(judged: &[Comparison], decided: usize, unjudged: &[String]) -> String {
    let mut parts = Vec::new();
    if !judged.is_empty() {
        let all = judged.len();
        let chances: Vec<f64> = judged.iter().filter_map(|one| chance(one.pairs)).map(|percent| percent / 100.).collect();
        let mut seeds = distinct(judged.iter().map(|one| one.pairs));
        seeds.sort_unstable();
        let each = seeds.iter().filter_map(|&seeds| Some(format!("{:.0} % of cases with {seeds} seeds", chance(seeds)?)));
        let line = "within two standard errors";
        parts.push(match all - decided {
            0 => format!("none of the {all} comparisons lies {line}"),
            1 => format!("1 of {all} comparisons lies {line}"),
            within => format!("{within} of {all} comparisons lie {line}"),
        });
        parts.push(format!(
            "where nothing differs, a comparison crosses that line by chance in {}, so that {:.1} of the {all} would by chance alone \
             (at least one: {:.0} %, if they were independent)",
            each.collect::<Vec<_>>().join(", "),
            chances.iter().sum::<f64>(),
            100. * (1. - chances.iter().map(|chance| 1. - chance).product::<f64>()),
        ));
    }
    if !unjudged.is_empty() {
        let (shown, more) = unjudged.split_at(unjudged.len().min(ROWS));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more rows", more.len()) };
        parts.push(format!("without two seeds in common with the baseline nothing is said of {}{more}", shown.join(", ")));
    }
    format!("Cannot be told: {}.", parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Collected, Results};
    use crate::table::{Table, tests::complete};
    use serde_json::{Value, json};

    /// Results of one row and seed: a value in percent for every set.
    fn result(row: &str, seed: u64, metric: &str, values: &[(String, f64)]) -> Results {
        let header = json!({"format": 1, "row": row, "seed": seed, "run": {}});
        let line = |(set, value): &(String, f64)| json!({"split": set, "metric": metric, "value": value / 100., "n": 50});
        let lines: Vec<String> = std::iter::once(header).chain(values.iter().map(line)).map(|line| line.to_string()).collect();
        let end = json!({"complete": true, "measurements": values.len()});
        Results::parse(&format!("{}\n{end}\n", lines.join("\n"))).unwrap()
    }

    /// The verdict on rows and sets named by letters, from `value(row, seed, set)`; row 0 is the baseline of all.
    fn said(rows: usize, seeds: u64, sets: usize, task: &str, value: impl Fn(usize, u64, usize) -> f64) -> Vec<String> {
        let sets: Vec<String> = (0..sets).map(|set| format!("s{set}")).collect();
        let named = |row: usize| format!("r{row}");
        let runs: Vec<Value> = (0..rows).map(|row| json!({"name": named(row), "test": sets})).collect();
        let mut table: Table = complete(&runs);
        table.file.task = task.to_string();
        table.file.baseline = Some(named(0));
        let metric = table.task().metric;
        let of = |row: usize, seed: u64| -> Results {
            let values: Vec<_> = sets.iter().enumerate().map(|(set, name)| (name.clone(), value(row, seed, set))).collect();
            result(&named(row), seed, metric, &values)
        };
        let found = |row: usize| (0..seeds).map(|seed| of(row, seed)).collect();
        let rows = table.rows().iter().enumerate().map(|(row, run)| (run.clone(), found(row))).collect();
        verdict(&Sheet::new(&table, &Collected { rows, left_out: Vec::new() }))
    }

    /// Scatter between seeds.
    const SCATTER: [f64; 3] = [0., 0.4, -0.4];

    /// Row 1 is 40 below the baseline on set 1; row 2 is 3 above it on set 0; the rest is the baseline, or near it.
    fn mixed(row: usize, seed: u64, set: usize) -> f64 {
        let own = SCATTER[seed as usize] * row as f64;
        50. + own
            + if (row, set) == (1, 1) {
                -40.
            } else if (row, set) == (2, 0) {
                3.
            } else {
                0.
            }
    }

    #[test]
    fn every_set_counts() {
        let error = said(3, 3, 2, "classify", mixed);
        assert_eq!(error.len(), 3);
        assert_eq!(
            error[0],
            "Helped, by more than two standard errors against r0 (error in percentage points, paired by seed): on s1 r1 -40.00 ± 0.23."
        );
        assert_eq!(error[1], "Hurt, by more than two standard errors: on s0 r2 +3.00 ± 0.46.");
        assert_eq!(
            error[2],
            "Cannot be told: 2 of 4 comparisons lie within two standard errors; where nothing differs, a comparison crosses that \
             line by chance in 18 % of cases with 3 seeds, so that 0.7 of the 4 would by chance alone (at least one: 56 %, if they \
             were independent)."
        );
    }

    #[test]
    fn where_more_is_better_the_signs_turn() {
        let miou = said(3, 3, 2, "segment", mixed);
        assert!(miou[0].contains("(mIoU in") && miou[0].ends_with("on s0 r2 +3.00 ± 0.46."), "{}", miou[0]);
        assert!(miou[1].ends_with("on s1 r1 -40.00 ± 0.23."), "{}", miou[1]);
    }

    #[test]
    fn nothing_helped_or_hurt() {
        let same = said(2, 3, 1, "classify", |row, seed, _| 50. + SCATTER[seed as usize] * row as f64);
        assert!(same[0].starts_with("Helped: nothing by more than two standard errors against r0"), "{}", same[0]);
        assert_eq!(same[1], "Hurt: nothing by more than two standard errors.");
    }

    #[test]
    fn one_seed_and_no_baseline_say_so() {
        let one = said(2, 1, 2, "classify", mixed);
        assert_eq!(
            one,
            ["Cannot be told: without two seeds in common with the baseline nothing is said of r1 (one seed in common)."]
        );
        let none = complete(&[json!({"name": "r0"})]);
        let rows = vec![(none.rows()[0].clone(), vec![result("r0", 0, "error", &[("s".to_string(), 1.)])])];
        let said = verdict(&Sheet::new(&none, &Collected { rows, left_out: Vec::new() }));
        assert_eq!(said, ["This table has no baseline row, so nothing is compared."]);
    }

    #[test]
    fn twenty_rows_on_eight_sets_stay_short() {
        let many = said(21, 3, 8, "classify", |row, seed, set| 50. + SCATTER[seed as usize] - (row * (set + 1)) as f64);
        assert!(many[0].contains("on s7 r20 -160.00 ± 0.00, r19 -152.00"), "{}", many[0]);
        assert!(many[0].ends_with("; and 152 smaller."), "{}", many[0]);
        assert!(many.iter().map(String::len).sum::<usize>() < 1000, "{many:?}");
        let lone = said(21, 1, 8, "classify", mixed);
        assert!(lone[0].ends_with("r6 (one seed in common) and 14 more rows."), "{}", lone[0]);
    }
}

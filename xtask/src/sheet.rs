//! `Sheet`: the tables and the chart of a report, computed from results.

use crate::results::{Collected, Results};
use crate::statistics::{Estimate, Verdict};
use crate::table::{Row, Table};
use sncn_record::corruption_error::{MCE_ALEXNET, NORMALISED};
use sncn_report::Grid;
use sncn_report::{Bar, Chart};

/// What the report of one table is rendered from.
pub(crate) struct Sheet<'a> {
    /// The table.
    pub(crate) table: &'a Table,
    /// Its results.
    pub(crate) collected: &'a Collected,
    /// Its test sets, in the order of the rows.
    pub(crate) sets: Vec<String>,
}

pub(crate) const NONE: &str = "–";

/// A column of the main table: its heading, and its cell in a row.
type Column<'c> = (String, Box<dyn Fn(&Row, &[Results]) -> String + 'c>);

/// A column of published numbers.
fn told<'c>(heading: String, key: String) -> Column<'c> {
    let of = move |row: &Row| row.published.get(&key).map(f64::to_string);
    (heading, Box::new(move |row, _| of(row).unwrap_or(NONE.to_string())))
}

fn cell(estimate: Option<Estimate>) -> String {
    estimate.map_or(NONE.to_string(), |estimate| estimate.to_string())
}

/// Percent of `metric` on `set`, over the seeds.
pub(crate) fn percent(results: &[Results], set: &str, metric: &str) -> Option<Estimate> {
    let values: Vec<f64> = results.iter().filter_map(|r| r.of_set(set, metric)).map(|value| 100. * value).collect();
    Estimate::of(&values)
}

/// Each item once, in the order of its first appearance.
pub(crate) fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut found, item| {
        if !found.contains(&item) {
            found.push(item);
        }
        found
    })
}

/// Whether a set is all corruptions and severities of another: generated (`-c`) or read from files (`-c-files`).
fn is_corrupted(set: &str) -> bool {
    set.ends_with("-c") || set.ends_with("-c-files")
}

impl<'a> Sheet<'a> {
    /// The sheet of a table with its results.
    pub(crate) fn new(table: &'a Table, collected: &'a Collected) -> Self {
        let sets = distinct(collected.rows.iter().flat_map(|(row, _)| row.test.clone()));
        Self { table, collected, sets }
    }

    /// Rows in table order, each with its results by seed.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'a Row, &'a [Results])> {
        self.collected.rows.iter().map(|(row, results)| (row, results.as_slice()))
    }

    fn clean(&self) -> Option<&String> {
        self.sets.iter().find(|set| !is_corrupted(set))
    }

    /// The first corrupted set.
    pub(crate) fn corrupted(&self) -> Option<&String> {
        self.sets.iter().find(|set| is_corrupted(set))
    }

    /// The set that counts most: the corrupted one, or else the last, which is the furthest from training.
    fn headline(&self) -> Option<&String> {
        self.corrupted().or(self.sets.last())
    }

    /// The rows that others are compared with, each once.
    pub(crate) fn baselines(&self) -> Vec<&'a Row> {
        let named = distinct(self.rows().filter_map(|(row, _)| self.table.baseline_of(row)));
        self.rows().map(|(row, _)| row).filter(|row| named.contains(&row.name.as_str())).collect()
    }

    pub(crate) fn is_baseline(&self, row: &Row) -> bool {
        self.baselines().iter().any(|baseline| baseline.name == row.name)
    }

    /// The heading of a set's main number. The plain mean over corruptions is called mCE only of the whole benchmark, and not beside
    /// one that is divided by another network's errors.
    pub(crate) fn label(&self, set: &str) -> String {
        let measure = self.table.task();
        let all = || self.rows().flat_map(|(_, results)| results);
        let errors = || all().map(|one| one.corruption_errors(set)).filter(|errors| !errors.rows().is_empty());
        let is_divided = all().any(|results| results.value(set, MCE_ALEXNET).is_some());
        if !is_corrupted(set) || !measure.low || !is_divided && errors().all(|errors| errors.is_benchmark()) {
            return format!("{set} {} %", if is_corrupted(set) { measure.corrupted.0 } else { measure.called });
        }
        let counts = errors().map(|errors| {
            let severities = errors.rows().iter().map(|(_, row)| row.len()).max().unwrap_or(0);
            format!("{} × {severities}", errors.rows().len())
        });
        match is_divided {
            true => format!("{set} mean {} %", measure.called),
            false => format!("{set} mean {} of {} %", measure.called, distinct(counts).join(" or ")),
        }
    }

    /// The main number of a set, or of a part of one, over the seeds.
    pub(crate) fn percent(&self, results: &[Results], split: &str) -> Option<Estimate> {
        percent(results, split, self.table.task().metric)
    }

    /// The difference to the baseline on `set`, paired by seed, in percentage points, and the number of pairs.
    pub(crate) fn difference(&self, row: &Row, results: &[Results], set: &str) -> Option<(Estimate, usize)> {
        let (name, metric) = (self.table.baseline_of(row)?, self.table.task().metric);
        let (_, baseline) = self.rows().find(|(row, _)| row.name == name)?;
        let pairs: Vec<f64> = results
            .iter()
            .filter_map(|own| {
                let other = baseline.iter().find(|other| other.header.seed == own.header.seed)?;
                Some(100. * (own.of_set(set, metric)? - other.of_set(set, metric)?))
            })
            .collect();
        Some((Estimate::of(&pairs)?, pairs.len()))
    }

    /// Whether a row lies beyond two standard errors of its baseline on `set`.
    pub(crate) fn differs(&self, row: &Row, results: &[Results], set: &str) -> bool {
        let found = self.difference(row, results, set).map(|(difference, _)| difference.verdict());
        !self.is_baseline(row) && matches!(found, Some(Verdict::Below | Verdict::Above))
    }

    /// Rows × test sets with what was published of them, the relative error, calibration and the difference on the headline
    /// set.
    pub(crate) fn main(&self) -> Grid {
        let published = distinct(self.rows().flat_map(|(row, _)| row.published.keys()).cloned());
        let metric = self.table.task().metric;
        let of_set = |key: &String| self.sets.iter().any(|set| *key == format!("{set}.{metric}"));
        let calibrated: Vec<&String> = self.clean().into_iter().chain(self.corrupted()).collect();
        let compared = self.headline().filter(|_| !self.baselines().is_empty());
        let mut columns: Vec<Column> = Vec::new();
        for set in &self.sets {
            columns.push((self.label(set), Box::new(|_, results| cell(self.percent(results, set)))));
            let key = format!("{set}.{metric}");
            if published.contains(&key) {
                columns.push(told(format!("published {set} %"), key));
            }
            let relative = |results: &[Results]| {
                let values: Vec<f64> = results.iter().filter_map(|one| one.relative(set)).map(|value| 100. * value).collect();
                Estimate::of(&values)
            };
            if self.rows().any(|(_, results)| relative(results).is_some()) {
                columns.push((format!("{set} relative"), Box::new(move |_, results| cell(relative(results)))));
            }
            for (divided, called) in NORMALISED {
                if self.has(set, divided) {
                    columns.push((format!("{set} {called} %"), Box::new(move |_, results| cell(percent(results, set, divided)))));
                }
            }
        }
        for set in calibrated.into_iter().filter(|set| metric == "error" || self.has(set, "ece")) {
            columns.push((format!("{set} ECE %"), Box::new(|_, results| cell(percent(results, set, "ece")))));
        }
        if let Some(set) = compared {
            columns.push((format!("Δ {set}"), Box::new(|row, results| self.difference_cell(row, results, set))));
        }
        columns.extend(published.iter().filter(|key| !of_set(key)).map(|key| told(format!("published {key} %"), key.clone())));
        let first = ["row".to_string(), "seeds".to_string()].into_iter();
        let mut grid = Grid::new(first.chain(columns.iter().map(|(heading, _)| heading.clone())).collect());
        for (row, results) in self.rows() {
            let first = [row.name.clone(), results.len().to_string()].into_iter();
            grid.push(first.chain(columns.iter().map(|(_, value)| value(row, results))).collect());
        }
        grid
    }

    /// Whether that was measured of a set, or of its parts, in some row.
    pub(crate) fn has(&self, set: &str, metric: &str) -> bool {
        self.rows().any(|(_, results)| percent(results, set, metric).is_some())
    }

    /// Rows × test sets: a metric such as macro-F1, where it was measured.
    pub(crate) fn by_set(&self, metric: &str) -> Grid {
        let mut grid = Grid::new(std::iter::once("row".to_string()).chain(self.sets.iter().cloned()).collect());
        for (row, results) in self.rows() {
            let values: Vec<_> = self.sets.iter().map(|set| percent(results, set, metric)).collect();
            if values.iter().any(Option::is_some) {
                grid.push(std::iter::once(row.name.clone()).chain(values.into_iter().map(cell)).collect());
            }
        }
        grid
    }

    /// Rows that have results.
    pub(crate) fn measured(&self) -> Vec<(&'a Row, &'a [Results])> {
        self.rows().filter(|(_, results)| !results.is_empty()).collect()
    }

    /// The corruptions of a set, in the order of the first results.
    pub(crate) fn corruption_names(&self, set: &str) -> Vec<&'a str> {
        let all = self.rows().flat_map(|(_, results)| results).map(|results| results.corruptions(set));
        all.into_iter().find(|names| !names.is_empty()).unwrap_or_default()
    }

    fn difference_cell(&self, row: &Row, results: &[Results], set: &str) -> String {
        if self.is_baseline(row) {
            return "baseline".to_string();
        }
        let Some((difference, _)) = self.difference(row, results, set) else { return NONE.to_string() };
        let mark = if self.differs(row, results, set) { "*" } else { "" };
        difference.signed() + mark
    }

    /// Rows but the baseline × test sets: the paired differences.
    pub(crate) fn differences(&self) -> Grid {
        let mut grid = Grid::new(std::iter::once("row".to_string()).chain(self.sets.iter().cloned()).collect());
        for (row, results) in self.rows().filter(|(row, _)| !self.is_baseline(row)) {
            let cells = self.sets.iter().map(|set| self.difference_cell(row, results, set));
            grid.push(std::iter::once(row.name.clone()).chain(cells).collect());
        }
        grid
    }

    /// Whether some row was measured on the corruptions of a set.
    pub(crate) fn has_corruptions(&self, set: &str) -> bool {
        self.rows().flat_map(|(_, results)| results).any(|results| !results.corruptions(set).is_empty())
    }

    /// Corruptions × rows, the mean over severities.
    pub(crate) fn corruptions(&self, set: &str) -> Grid {
        let with = self.measured();
        let mut grid =
            Grid::new(std::iter::once("corruption".to_string()).chain(with.iter().map(|(row, _)| row.name.clone())).collect());
        for name in self.corruption_names(set) {
            let cells = with.iter().map(|(_, results)| cell(self.percent(results, &format!("{set}/{name}"))));
            grid.push(std::iter::once(name.to_string()).chain(cells).collect());
        }
        grid
    }

    /// The main number by test set and row.
    pub(crate) fn chart(&self) -> Chart {
        let with = self.measured();
        let bar = |set: &String, results: &[Results]| {
            self.percent(results, set).map(|estimate| Bar { height: estimate.mean, error: estimate.error })
        };
        let group = |set: &String| (set.clone(), with.iter().map(|(_, results)| bar(set, results)).collect());
        Chart {
            title: self.table.title.clone(),
            axis: format!("{} %", self.table.task().called),
            series: with.iter().map(|(row, _)| row.name.clone()).collect(),
            groups: self.sets.iter().map(group).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::results::tests::detailed;
    use crate::table::tests::complete;
    use serde_json::json;
    use sncn_record::corruption_error::ALEXNET;

    /// A table of a baseline, a row that is better and one that has no results.
    pub(crate) fn table() -> Table {
        let good = json!({"name": "good", "train_limit": 100, "published": {"s-c.error": 16.9}});
        let mut table = complete(&[json!({"name": "base", "train_limit": 100}), good, json!({"name": "later"})]);
        table.file.baseline = Some("base".into());
        table
    }

    /// Its results: 30 and 34 % for the baseline, 24 and 27 % for the other, on the corrupted set.
    pub(crate) fn collected() -> Collected {
        let run = json!({});
        let read = |row: &str, seed: u64, clean: f64, corrupted: f64| {
            Results::parse(&detailed(row, seed, &run, clean, corrupted)).unwrap()
        };
        let results = [
            vec![read("base", 0, 0.10, 0.30), read("base", 1, 0.12, 0.34)],
            vec![read("good", 0, 0.10, 0.24), read("good", 1, 0.13, 0.27)],
            Vec::new(),
        ];
        Collected { rows: table().rows().iter().cloned().zip(results).collect(), left_out: Vec::new() }
    }

    #[test]
    fn the_main_table_is_right() {
        let (table, collected) = (table(), collected());
        let sheet = Sheet::new(&table, &collected);
        let plain = sheet.main().plain();
        let lines: Vec<String> = plain
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(
            lines[0],
            "row|seeds|s error %|s-c mean error of 2 × 2 %|published s-c %|s-c relative|s ECE %|s-c ECE %|Δ s-c"
        );
        assert_eq!(lines[1], "base|2|11.00 ± 1.00|32.00 ± 2.00|–|21.00 ± 1.00|1.10 ± 0.10|3.20 ± 0.20|baseline");
        assert_eq!(lines[2], "good|2|11.50 ± 1.50|25.50 ± 1.50|16.9|14.00 ± 0.00|1.15 ± 0.15|2.55 ± 0.15|-6.50 ± 0.50*");
        assert_eq!(lines[3], "later|0|–|–|–|–|–|–|–");
        let corruptions = sheet.corruptions("s-c").plain();
        assert!(corruptions.contains("fog") && corruptions.contains("31.00 ± 2.00"), "{corruptions}");
    }

    /// Results of the 15 corruptions at so many severities, with further numbers of the set as a whole.
    fn benchmark(severities: usize, more: &[(&str, f64)]) -> Results {
        let mut lines = vec![json!({"format": 1, "row": "base", "seed": 0, "run": {}}).to_string()];
        let mut add = |split: &str, metric: &str, value: f64| {
            lines.push(json!({"split": split, "metric": metric, "value": value, "n": 50}).to_string());
        };
        add("s", "error", 0.25);
        add("s", "top5_error", 0.125);
        for (name, _) in ALEXNET.errors {
            (1..=severities).for_each(|severity| add(&format!("s-c/{name}/{severity}"), "error", 0.5));
        }
        more.iter().for_each(|(metric, value)| add("s-c", metric, *value));
        lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
        Results::parse(&(lines.join("\n") + "\n")).unwrap()
    }

    #[test]
    fn means_over_corruptions_are_named_for_what_they_are() {
        let table = complete(&[json!({"name": "base"})]);
        let headings = |results: Results| {
            let collected = Collected { rows: vec![(table.rows()[0].clone(), vec![results])], left_out: Vec::new() };
            let sheet = Sheet::new(&table, &collected);
            let plain = sheet.main().plain();
            let split = |line: &str| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect::<Vec<_>>().join("|");
            assert!(sheet.by_set("top5_error").plain().contains("12.50"));
            plain.lines().take(2).map(split).collect::<Vec<_>>().join(" ")
        };
        let plain = headings(benchmark(5, &[]));
        assert!(plain.contains("|s-c mCE %|s-c relative|"), "{plain}");
        let part = headings(benchmark(4, &[]));
        assert!(part.contains("|s-c mean error of 15 × 4 %|s-c relative|"), "{part}");
        let divided = headings(benchmark(5, &[("mce_alexnet", 0.625), ("relative_mce_alexnet", 0.75)]));
        let names = "|s-c mean error %|s-c relative|s-c mCE (AlexNet) %|s-c relative mCE (AlexNet) %|";
        assert!(divided.contains(names) && divided.contains("|50.00|25.00|62.50|75.00|"), "{divided}");
    }

    #[test]
    fn a_row_may_name_the_row_that_it_is_compared_with() {
        let (table, mut collected) = (table(), collected());
        collected.rows[2].0.run.baseline = Some("good".to_string());
        collected.rows[2].1 = collected.rows[1].1.clone();
        let sheet = Sheet::new(&table, &collected);
        let said = crate::verdict::verdict(&sheet).join(" ");
        // the last row's results are those of its baseline, which is compared with the table's no more
        assert!(said.contains("against the baseline of its kind") && said.contains("2 of 2 comparisons"), "{said}");
        assert!(sheet.differences().plain().contains("later") && !sheet.differences().plain().contains("good"));
    }
}

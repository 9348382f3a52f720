//! The part of a report that is about domains: rows that differ in the domains of training and testing alone are one method, whose
//! errors stand side by side with their mean over the domains.

use crate::results::Results;
use crate::sheet::{NONE, Sheet, distinct};
use crate::statistics::{Estimate, Verdict};
use crate::table::Row;
use serde_json::Value;
use sncn_record::run::REMARKS;
use sncn_report::Grid;

/// One row of a method, tested on a domain that it was not trained on.
struct Target<'a> {
    /// What the column is called: the domain, after that of training where there is one.
    column: String,
    set: &'a str,
    row: &'a Row,
    results: &'a [Results],
}

/// Rows that differ in their domains alone.
struct Method<'a> {
    /// Its settings, without those that say which domains.
    key: Value,
    targets: Vec<Target<'a>>,
}

impl<'a> Method<'a> {
    /// What the names of its rows have in common, part by part.
    fn name(&self) -> String {
        let Some(first) = self.targets.first() else { return String::new() };
        let in_all = |part: &&str| self.targets.iter().all(|target| target.row.name.split('/').any(|own| own == *part));
        let common: Vec<&str> = first.row.name.split('/').filter(in_all).collect();
        if common.is_empty() { first.row.name.clone() } else { common.join("/") }
    }

    fn target(&self, column: &str) -> Option<&Target<'a>> {
        self.targets.iter().find(|target| target.column == column)
    }

    /// The mean over all these domains in percent, of every seed that has them all.
    fn means(&self, metric: &str, columns: &[&str]) -> Vec<(u64, f64)> {
        if columns.iter().any(|column| self.target(column).is_none()) {
            return Vec::new();
        }
        let seeds = distinct(self.targets.iter().flat_map(|target| target.results).map(|one| one.header.seed));
        let of = |seed: u64| {
            let values = self.targets.iter().map(|target| {
                let own = target.results.iter().find(|one| one.header.seed == seed)?;
                own.of_set(target.set, metric)
            });
            let sum: f64 = values.sum::<Option<f64>>()?;
            Some((seed, 100. * sum / self.targets.len() as f64))
        };
        seeds.into_iter().filter_map(of).collect()
    }
}

/// The folder of a row's domains (empty: the data folder itself) and the domains that it is trained on.
fn trained_on(row: &Row) -> Option<(String, Vec<&str>)> {
    let folder = row.data.get("folder").and_then(Value::as_str).unwrap_or_default();
    let parts = match row.data.get("train")? {
        Value::String(part) => vec![part.as_str()],
        parts => parts.as_array()?.iter().filter_map(Value::as_str).collect(),
    };
    Some((folder.to_string(), parts))
}

/// The settings of a row without its name, its remarks and its domains, by which a row whose network it tests differs too.
fn settings(row: &Row) -> Value {
    let mut settings = serde_json::to_value(&row.run).unwrap_or_default();
    if let Some(keys) = settings.as_object_mut() {
        keys.retain(|key, _| !["name", "test", "trained"].contains(&key.as_str()) && !REMARKS.contains(&key.as_str()));
    }
    if let Some(data) = settings.get_mut("data").and_then(Value::as_object_mut) {
        data.remove("train");
    }
    settings
}

/// The methods of a table whose domains are below `folder`; those with one pair of domains are none.
fn methods<'a>(sheet: &Sheet<'a>, folder: &str) -> Vec<Method<'a>> {
    let mut methods: Vec<Method> = Vec::new();
    for (row, results) in sheet.measured() {
        let Some((_, parts)) = trained_on(row).filter(|(own, _)| own == folder) else { continue };
        let targets = row.test.iter().filter(|set| !set.starts_with(&row.train)).map(|set| Target {
            column: if let [part] = parts[..] { format!("{part} → {set}") } else { set.clone() },
            set,
            row,
            results,
        });
        let key = settings(row);
        match methods.iter_mut().find(|method| method.key == key) {
            Some(method) => method.targets.extend(targets),
            None => methods.push(Method { key, targets: targets.collect() }),
        }
    }
    methods.retain(|method| distinct(method.targets.iter().map(|target| &target.row.name)).len() > 1);
    methods
}

/// Methods × domains of every folder of domains in a table, with the mean over the domains and its difference to the baseline's.
pub(crate) fn by_domain(sheet: &Sheet) -> Vec<(String, Grid)> {
    let folders = distinct(sheet.measured().into_iter().filter_map(|(row, _)| Some(trained_on(row)?.0)));
    let grids = folders.into_iter().map(|folder| {
        let grid = grid(sheet, &methods(sheet, &folder));
        (folder, grid)
    });
    grids.filter(|(_, grid)| !grid.is_empty()).collect()
}

fn grid(sheet: &Sheet, methods: &[Method]) -> Grid {
    let columns = distinct(methods.iter().flat_map(|method| &method.targets).map(|target| target.column.as_str()));
    let heading = std::iter::once("method").chain(columns.iter().copied()).chain(["mean", "seeds of the mean", "Δ mean"]);
    let mut grid = Grid::new(heading.map(str::to_string).collect());
    let metric = sheet.table.task().metric;
    let said = |estimate: Option<Estimate>| estimate.map_or(NONE.to_string(), |estimate| estimate.to_string());
    for method in methods {
        let means = method.means(metric, &columns);
        let mean = Estimate::of(&means.iter().map(|(_, mean)| *mean).collect::<Vec<_>>());
        let cells = columns.iter().map(|column| {
            let target = method.target(column);
            said(target.and_then(|target| sheet.percent(target.results, target.set)))
        });
        let last = [said(mean), means.len().to_string(), difference(sheet, methods, method, &columns)];
        grid.push(std::iter::once(method.name()).chain(cells).chain(last).collect());
    }
    grid
}

/// The difference of a method's mean to that of its baseline's method, paired by seed.
fn difference(sheet: &Sheet, methods: &[Method], method: &Method, columns: &[&str]) -> String {
    let names = |method: &Method, name: &str| method.targets.iter().any(|target| target.row.name == name);
    let named = method.targets.first().and_then(|target| sheet.table.baseline_of(target.row));
    let Some(baseline) = named.and_then(|name| methods.iter().find(|other| names(other, name))) else { return NONE.to_string() };
    if baseline.key == method.key {
        return "baseline".to_string();
    }
    let metric = sheet.table.task().metric;
    let other = baseline.means(metric, columns);
    let pairs: Vec<f64> = method
        .means(metric, columns)
        .iter()
        .filter_map(|(seed, mean)| Some(mean - other.iter().find(|(own, _)| own == seed)?.1))
        .collect();
    let Some(found) = Estimate::of(&pairs) else { return NONE.to_string() };
    let mark = if matches!(found.verdict(), Verdict::Below | Verdict::Above) { "*" } else { "" };
    found.signed() + mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Collected;
    use crate::table::tests::complete;
    use serde_json::json;

    fn result(row: &str, seed: u64, error: &[(&str, f64)]) -> Results {
        let header = json!({"format": 1, "row": row, "seed": seed, "run": {}});
        let lines =
            error.iter().map(|(set, error)| json!({"split": set, "metric": "error", "value": error, "n": 10}).to_string());
        let end = json!({"complete": true, "measurements": error.len()});
        let all: Vec<String> = std::iter::once(header.to_string()).chain(lines).chain([end.to_string()]).collect();
        Results::parse(&(all.join("\n") + "\n")).unwrap()
    }

    #[test]
    fn methods_have_a_mean_over_their_domains() {
        let row = |domain: &str, method: &str, others: [&str; 2], norm: Value| {
            json!({"name": format!("net/{domain}/{method}"), "train": "folder", "data": {"train": others}, "norm": norm,
                "test": ["folder-validation", domain], "baseline": format!("net/{domain}/plain")})
        };
        let mixed = json!({"kind": "mixed"});
        let table = complete(&[
            row("a", "plain", ["b", "c"], Value::Null),
            row("a", "mixed", ["b", "c"], mixed.clone()),
            row("b", "plain", ["a", "c"], Value::Null),
            row("b", "mixed", ["a", "c"], mixed),
            row("c", "plain", ["a", "b"], Value::Null),
            json!({"name": "alone", "train": "folder", "data": {"train": "a"}, "test": ["b"], "lr": 0.5}),
        ]);
        // the mean of seed s: plain 30 + 2s, mixed 20 + s and only of a in seed 2
        let of = |name: &str, all: bool| -> Vec<Results> {
            let (domain, is_plain) = (name.split('/').nth(1).unwrap_or("b"), name.ends_with("plain"));
            let seeds = if domain == "b" && !is_plain { 0..2 } else { 0..3 };
            let spread = if domain == "a" { 10. } else { -10. };
            if domain == "c" && !all {
                return Vec::new();
            }
            let error = |seed: f64| if is_plain { 30. + 2. * seed + spread } else { 20. + seed + spread };
            seeds.map(|seed| result(name, seed, &[("folder-validation", 0.5), (domain, error(seed as f64) / 100.)])).collect()
        };
        let found = |all: bool| {
            let rows = table.rows().iter().map(|row| (row.clone(), of(&row.name, all))).collect();
            by_domain(&Sheet::new(&table, &Collected { rows, left_out: Vec::new() }))
        };
        // a mean over other domains is none
        let text = found(true)[0].1.markdown();
        assert!(text.contains("| net/plain | 42.00 ± 1.15 | 22.00 ± 1.15 | 22.00 ± 1.15 | 28.67 ± 1.15 |"), "{text}");
        assert!(
            text.contains(
                "| net/mixed | 31.00 ± 0.58 | 10.50 ± 0.50 |            – |            – |                 0 |        – |"
            ),
            "{text}"
        );
        let found = found(false);
        let [(folder, grid)] = &found[..] else { panic!("{} grids", found.len()) };
        assert_eq!(folder, "");
        assert_eq!(
            grid.markdown(),
            "| method    |            a |            b |         mean | seeds of the mean |         Δ mean |\n\
             | --------- | -----------: | -----------: | -----------: | ----------------: | -------------: |\n\
             | net/plain | 42.00 ± 1.15 | 22.00 ± 1.15 | 32.00 ± 1.15 |                 3 |       baseline |\n\
             | net/mixed | 31.00 ± 0.58 | 10.50 ± 0.50 | 20.50 ± 0.50 |                 2 | -10.50 ± 0.50* |\n"
        );
        assert!(by_domain(&Sheet::new(&complete(&[]), &Collected { rows: Vec::new(), left_out: Vec::new() })).is_empty());
    }

    #[test]
    fn one_domain_of_training_is_told() {
        let row = |from: &str, to: [&str; 2]| json!({"name": format!("from-{from}/cn"), "train": "folder", "data": {"folder": "office", "train": from}, "test": to});
        let table = complete(&[row("a", ["b", "c"]), row("b", ["a", "c"])]);
        let of = |row: &Row| {
            let error: Vec<(&str, f64)> = row.test.iter().map(|set| (set.as_str(), 0.25)).collect();
            vec![result(&row.name, 0, &error)]
        };
        let rows = table.rows().iter().map(|row| (row.clone(), of(row))).collect();
        let found = by_domain(&Sheet::new(&table, &Collected { rows, left_out: Vec::new() }));
        assert_eq!(found[0].0, "office");
        let text = found[0].1.markdown();
        assert!(text.starts_with("| method | a → b | a → c | b → a | b → c |  mean | seeds of the mean | Δ mean |"), "{text}");
        assert!(text.contains("| cn     | 25.00 | 25.00 | 25.00 | 25.00 | 25.00 |                 1 |      – |"), "{text}");
    }
}

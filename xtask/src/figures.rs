//! The pictures beside a report: errors as a heat map, calibration as reliability diagrams, the confusion of the baseline.

use crate::results::Results;
use crate::sheet::{Sheet, percent};
use crate::table::Row;
use sncn_report::{Bin, Curves, HeatMap, Panel, Reliability};
use std::collections::BTreeMap;

/// Bins of confidence in a results file.
const BINS: usize = 15;

/// Errors of a corrupted set: rows × corruptions, or corruptions × severities where there is one row only.
pub(crate) fn heat(sheet: &Sheet, set: &str) -> HeatMap {
    let (rows, names) = (sheet.measured(), sheet.corruption_names(set));
    let mean = |results: &[Results], split: &str| sheet.percent(results, split).map(|estimate| estimate.mean);
    let name = sheet.table.task().called;
    if let [(row, results)] = rows.as_slice() {
        let cells = |name: &&str| -> Vec<Option<f64>> {
            let severities = (1..=5).map(|severity| mean(results, &format!("{set}/{name}/{severity}")));
            severities.chain([mean(results, &format!("{set}/{name}"))]).collect()
        };
        return HeatMap {
            title: format!("{}: {set}, by corruption and severity", row.name),
            rows: names.iter().map(|name| name.to_string()).collect(),
            columns: (1..=5).map(|severity| severity.to_string()).chain(["mean".to_string()]).collect(),
            values: names.iter().map(cells).collect(),
            legend: format!("{name} %, {}", seeds(results)),
        };
    }
    let cells = |results: &[Results]| -> Vec<Option<f64>> {
        let each = names.iter().map(|name| mean(results, &format!("{set}/{name}")));
        each.chain([mean(results, set)]).collect()
    };
    HeatMap {
        title: format!("{set}, by row and corruption"),
        rows: rows.iter().map(|(row, _)| row.name.clone()).collect(),
        columns: names.iter().map(|name| name.to_string()).chain(["mean".to_string()]).collect(),
        values: rows.iter().map(|(_, results)| cells(results)).collect(),
        legend: format!("{name} %, mean over severities and seeds"),
    }
}

fn seeds(results: &[Results]) -> String {
    if results.len() == 1 { "one seed".to_string() } else { format!("mean over {} seeds", results.len()) }
}

/// Reliability of the rows, on every set whose bins were measured.
pub(crate) fn reliability(sheet: &Sheet) -> Option<Reliability> {
    let panels = |set: &String| -> Vec<Panel> {
        let of = |(row, results): (&Row, &[Results])| -> Option<Panel> {
            let bins = pooled(results, set);
            let ece = percent(results, set, "ece")?.to_string();
            (!bins.is_empty()).then(|| Panel { name: row.name.clone(), ece, bins })
        };
        sheet.measured().into_iter().filter_map(of).collect()
    };
    let sets: Vec<_> = sheet.sets.iter().map(|set| (set.clone(), panels(set))).filter(|(_, panels)| !panels.is_empty()).collect();
    let title = "Accuracy against confidence, all seeds together".to_string();
    (!sets.is_empty()).then_some(Reliability { title, bins: BINS, sets })
}

/// The bins of a set, of all seeds together.
fn pooled(results: &[Results], set: &str) -> Vec<Bin> {
    let mut sums: BTreeMap<usize, Bin> = BTreeMap::new();
    for bin in results.iter().flat_map(|results| results.reliability(set)).filter(|bin| bin.count > 0.) {
        let sum = sums.entry(bin.index).or_insert(Bin { count: 0., ..bin });
        let count = sum.count + bin.count;
        sum.accuracy += (bin.accuracy - sum.accuracy) * bin.count / count;
        sum.confidence += (bin.confidence - sum.confidence) * bin.count / count;
        sum.count = count;
    }
    sums.into_values().collect()
}

/// What training told by epoch, each a mean over seeds: name in the results, heading, label of the axis, and what it is multiplied by.
const TRAINED: [(&str, &str, &str, f64); 2] =
    [("loss", "Training loss", "loss", 1.), ("validation", "Score on validation examples", "score %", 100.)];

/// The curves of training, of what was told over two epochs at least, each with its name.
pub(crate) fn training(sheet: &Sheet) -> Vec<(&'static str, Curves)> {
    let of = |(name, title, axis, factor): (&'static str, &str, &str, f64)| {
        let series: Vec<(String, BTreeMap<usize, f64>)> =
            sheet.measured().into_iter().map(|(row, results)| (row.name.clone(), over_seeds(results, name))).collect();
        let last = series.iter().filter_map(|(_, values)| values.keys().next_back()).max().copied()?;
        let values = |told: &BTreeMap<usize, f64>| (1..=last).map(|epoch| told.get(&epoch).map(|value| value * factor)).collect();
        let curves = Curves {
            title: format!("{title} by epoch, mean over seeds"),
            axis: axis.to_string(),
            steps: "epoch".to_string(),
            names: (1..=last).map(|epoch| epoch.to_string()).collect(),
            series: series.iter().filter(|(_, told)| !told.is_empty()).map(|(name, told)| (name.clone(), values(told))).collect(),
        };
        (last > 1).then_some((name, curves))
    };
    TRAINED.into_iter().filter_map(of).collect()
}

/// The mean of what training told over the seeds that got so far.
fn over_seeds(results: &[Results], name: &str) -> BTreeMap<usize, f64> {
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for (epoch, value) in results.iter().flat_map(|results| results.epochs(name)) {
        let (sum, count) = sums.entry(epoch).or_default();
        (*sum, *count) = (*sum + value, *count + 1.);
    }
    sums.into_iter().map(|(epoch, (sum, count))| (epoch, sum / count)).collect()
}

/// The confusion of the baseline (or the first row that has results) on every set where it was counted, with the set's name.
pub(crate) fn confusions(sheet: &Sheet) -> Vec<(String, HeatMap)> {
    let rows = sheet.measured();
    let baseline = rows.iter().find(|(row, _)| sheet.table.baseline.as_ref() == Some(&row.name));
    let Some((row, results)) = baseline.or(rows.first()) else { return Vec::new() };
    let counted = sheet.table.task().counted;
    let of = |set: &String| Some((set.clone(), confusion(&row.name, results, set, counted)?));
    sheet.sets.iter().filter_map(of).collect()
}

fn confusion(name: &str, results: &[Results], set: &str, counted: &str) -> Option<HeatMap> {
    let cells: Vec<_> = results.iter().flat_map(|results| results.confusion(set)).collect();
    let named = results.iter().map(|results| &results.header.classes).max_by_key(|classes| classes.len())?;
    let last = cells.iter().map(|(label, prediction, _)| *label.max(prediction)).max()?;
    let classes = named.len().max(last + 1);
    let mut counts = vec![vec![0.; classes]; classes];
    cells.iter().for_each(|(label, prediction, count)| counts[*label][*prediction] += count);
    let share = |row: &Vec<f64>| {
        let sum: f64 = row.iter().sum();
        row.iter().map(|count| (sum > 0.).then_some(100. * count / sum)).collect()
    };
    let shares: Vec<Vec<Option<f64>>> = counts.iter().map(share).collect();
    let together = if results.len() > 1 { format!(", {} seeds together", results.len()) } else { String::new() };
    let mut legend = format!("% of the {counted} of a class (row) that get a label (column){together}");
    let (mut rows, mut columns): (Vec<usize>, Vec<usize>) = ((0..classes).collect(), (0..classes).collect());
    if classes > SHOWN_WHOLE {
        let wrong = |class: usize| counts[class].iter().sum::<f64>() - counts[class][class];
        rows = most(MISTAKEN, (0..classes).map(wrong));
        columns = most(MISTAKEN, (0..classes).map(|label| rows.iter().map(|&class| counts[class][label]).sum()));
        legend += &format!(
            "; of {classes} classes the {} with most errors, and the {} labels that they get most",
            rows.len(),
            columns.len()
        );
    }
    let names = |of: &[usize]| of.iter().map(|&class| named.get(class).cloned().unwrap_or(class.to_string())).collect();
    Some(HeatMap {
        title: format!("{name}: what it takes {set} for"),
        rows: names(&rows),
        columns: names(&columns),
        values: rows.iter().map(|&class| columns.iter().map(|&label| shares[class][label]).collect()).collect(),
        legend,
    })
}

/// The largest number of classes whose confusion is shown whole.
const SHOWN_WHOLE: usize = 100;
/// Classes that are shown of more.
const MISTAKEN: usize = 24;

/// The indices of the largest values above 0, at most so many, in order.
fn most(count: usize, values: impl Iterator<Item = f64>) -> Vec<usize> {
    let mut found: Vec<(usize, f64)> = values.enumerate().filter(|(_, value)| *value > 0.).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut found: Vec<usize> = found.into_iter().take(count).map(|(index, _)| index).collect();
    found.sort_unstable();
    found
}

/// Every measured split as CSV: mean and standard error over seeds, in fractions.
pub(crate) fn csv(sheet: &Sheet) -> String {
    let quoted =
        |name: &str| if name.contains([',', '"']) { format!("\"{}\"", name.replace('"', "\"\"")) } else { name.to_string() };
    let mut text = "row,set,corruption,severity,metric,seeds,mean,standard_error\n".to_string();
    for (row, results) in sheet.measured() {
        let splits = results.first().map(|first| first.splits()).into_iter().flatten();
        let metrics = |split| results.first().map(|first| first.metrics(sheet.table.task(), split)).unwrap_or_default();
        for (split, metric) in splits.flat_map(|split| metrics(split).into_iter().map(move |metric| (split, metric))) {
            let count = results.iter().filter(|results| results.value(split, &metric).is_some()).count();
            let Some(estimate) = percent(results, split, &metric) else { continue };
            let metric = quoted(&metric);
            let mut parts = split.splitn(3, '/').map(quoted);
            let [set, corruption, severity] = std::array::from_fn(|_| parts.next().unwrap_or_default());
            let error = estimate.error.map_or(String::new(), |error| format!("{:.6}", error / 100.));
            let name = quoted(&row.name);
            text += &format!("{name},{set},{corruption},{severity},{metric},{count},{:.6},{error}\n", estimate.mean / 100.);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::{collected, table};
    use anyhow::Context;
    use serde_json::json;

    #[test]
    fn errors_are_by_row_and_corruption_or_by_severity_where_there_is_one_row() {
        let (table, mut collected) = (table(), collected());
        let map = heat(&Sheet::new(&table, &collected), "s-c");
        assert_eq!((map.rows.join(" "), map.columns.join(" ")), ("base good".into(), "fog frost mean".into()));
        assert!(map.values[0].iter().zip([31., 33., 32.]).all(|(value, wanted)| (value.unwrap() - wanted).abs() < 1e-9));
        collected.rows[0].1.clear();
        let map = heat(&Sheet::new(&table, &collected), "s-c");
        assert_eq!((map.rows.join(" "), map.columns.join(" ")), ("fog frost".into(), "1 2 3 4 5 mean".into()));
        assert!((map.values[0][0].unwrap() - 19.5).abs() < 1e-9 && map.values[0][2].is_none());
    }

    #[test]
    fn bins_and_counts_of_all_seeds_come_together() {
        let (table, collected) = (table(), collected());
        let sheet = Sheet::new(&table, &collected);
        let found = reliability(&sheet).unwrap();
        assert_eq!((found.sets.len(), found.sets[0].1.len()), (1, 2));
        let bin = found.sets[0].1[0].bins[1];
        assert_eq!((bin.index, bin.count), (12, 80.));
        assert!((bin.accuracy - 0.9).abs() < 1e-12 && (bin.confidence - 0.85).abs() < 1e-12);
        let confused = confusions(&sheet);
        assert_eq!((confused.len(), confused[0].0.as_str(), confused[0].1.rows.join(" ")), (1, "s", "cat dog".into()));
        assert_eq!(confused[0].1.values[0], [Some(100.), Some(0.)]);
        assert!((confused[0].1.values[1][0].unwrap() - 100. / 3.).abs() < 1e-9);
    }

    #[test]
    fn training_is_a_curve_a_row_where_epochs_were_told() -> anyhow::Result<()> {
        let (table, mut collected) = (table(), collected());
        assert!(training(&Sheet::new(&table, &collected)).is_empty());
        for (seed, losses) in [[2., 1.], [4., 2.]].into_iter().enumerate() {
            let plain = crate::results::tests::text("base", seed as u64, &json!({}), 0.1, 0.2);
            let mut lines: Vec<String> = plain.lines().map(str::to_string).collect();
            lines.pop();
            for (index, loss) in losses.into_iter().enumerate() {
                let metric = format!("loss/{}/mean", index + 1);
                lines.push(json!({"split": "training", "metric": metric, "value": loss, "n": 7}).to_string());
            }
            lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
            collected.rows[0].1[seed] = Results::parse(&lines.join("\n"))?;
        }
        let found = training(&Sheet::new(&table, &collected));
        assert_eq!((found.len(), found[0].0, found[0].1.names.join(" ")), (1, "loss", "1 2".to_string()));
        assert_eq!(found[0].1.series, [("base".to_string(), vec![Some(3.), Some(1.5)])]);
        Ok(())
    }

    #[test]
    fn of_many_classes_those_with_most_errors_are_shown() -> anyhow::Result<()> {
        let plain = crate::results::tests::text("base", 0, &json!({}), 0.1, 0.2);
        let mut lines: Vec<String> = plain.lines().map(str::to_string).collect();
        lines.pop();
        for class in 0..150 {
            for (prediction, count) in [(class, 10), ((class + 1) % 150, class % 50)].into_iter().filter(|(_, count)| *count > 0)
            {
                let metric = format!("confusion/{class}/{prediction}");
                lines.push(json!({"split": "s", "metric": metric, "value": count, "n": 100}).to_string());
            }
        }
        lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
        let results = Results::parse(&lines.join("\n"))?;
        let map = confusion("base", &[results], "s", "images").context("a map")?;
        assert_eq!((map.rows.len(), map.columns.len()), (MISTAKEN, MISTAKEN));
        assert!(
            map.rows.contains(&"149".to_string()) && map.rows.contains(&"49".to_string()) && !map.rows.contains(&"0".to_string())
        );
        assert!(map.legend.contains("of 150 classes the 24 with most errors"), "{}", map.legend);
        assert!(map.svg().len() < 200_000);
        Ok(())
    }

    #[test]
    fn every_split_is_a_line_of_the_csv() {
        let (table, collected) = (table(), collected());
        let text = csv(&Sheet::new(&table, &collected));
        assert!(text.contains("base,s,,,error,2,0.110000,0.010000\n"), "{text}");
        assert!(text.contains("good,s-c,fog,2,error,2,0.295000,0.015000\n"), "{text}");
        assert_eq!(text.lines().count(), 1 + 2 * (3 + 4 * 2));
    }
}

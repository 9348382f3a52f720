//! Output: a table for readers, one JSON object per line for programs, and the number of bars that hold.

use super::bars::{BARS, Case};
use super::compare::Row;
use super::roofline::{Roofline, number};
use serde_json::{Value, json};

/// The table, with a heading.
pub(crate) fn table(rows: &[Row], roofline: &Roofline) -> String {
    let limits: Vec<String> = rows.iter().map(|row| roofline.text(row)).collect();
    let heading = ["case", "what", "ours", "peer", "unit", "ratio", "low to high", "bar", "", "limit (reached)"];
    let mut lines = vec![heading.map(str::to_string)];
    for (row, limit) in rows.iter().zip(&limits) {
        let value = |value: Option<f64>| value.map(number).unwrap_or_default();
        lines.push([
            row.case.clone(),
            row.what.clone(),
            value(row.ours),
            value(row.peer),
            row.unit.clone().unwrap_or_default(),
            row.ratio.map(|ratio| format!("{:.2}", ratio.value)).unwrap_or_default(),
            row.ratio.map(|ratio| format!("{:.2} to {:.2}", ratio.low, ratio.high)).unwrap_or_default(),
            row.bar.map(|bar| format!("{:.2}", bar.least)).unwrap_or_default(),
            row.holds().map(|holds| if holds { "ok" } else { "short" }).unwrap_or_default().to_string(),
            limit.clone(),
        ]);
    }
    // empty columns are left out
    let columns: Vec<usize> = (0..heading.len()).filter(|&at| lines[1..].iter().any(|line| !line[at].is_empty())).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = columns.iter().map(|&at| match heading[at] {
            "ours" | "peer" | "ratio" | "bar" => format!("{:>width$}", line[at], width = widths[at]),
            _ => format!("{:<width$}", line[at], width = widths[at]),
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A row as a JSON object.
pub(crate) fn json(row: &Row, roofline: &Roofline) -> Value {
    let thousandths = |value: f64| (value * 1e3).round() / 1e3;
    json!({
        "case": row.case,
        "what": row.what,
        "ours": row.ours.map(thousandths),
        "peer": row.peer.map(thousandths),
        "ratio": row.ratio.map(|ratio| thousandths(ratio.value)),
        "low": row.ratio.map(|ratio| thousandths(ratio.low)),
        "high": row.ratio.map(|ratio| thousandths(ratio.high)),
        "bar": row.bar.map(|bar| bar.least),
        "holds": row.holds(),
        "unit": row.unit,
        "limit": roofline.limit(row).map(thousandths),
    })
}

/// The number of measured bars that hold, and the bars of these cases that were not measured; also whether all hold.
pub(crate) fn verdict(rows: &[Row], cases: &[Case]) -> (String, bool) {
    let held: Vec<bool> = rows.iter().filter_map(Row::holds).collect();
    let good = held.iter().filter(|holds| **holds).count();
    let mut text = match held.len() {
        0 => "no bar was measured".to_string(),
        all => format!("{good} of {all} bars hold"),
    };
    let mut missing: Vec<String> = rows
        .iter()
        .filter(|row| row.bar.is_some() && row.ratio.is_none())
        .map(|row| format!("{}: {}", row.case, row.what))
        .collect();
    let unseen = BARS.iter().filter(|bar| cases.contains(&bar.with) && !rows.iter().any(|row| row.bar == Some(bar)));
    missing.extend(unseen.map(|bar| format!("{}: {}", bar.case, bar.what)));
    if !missing.is_empty() {
        text += &format!("; not measured: {}", missing.join("; "));
    }
    (text, good == held.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::compare::{Round, rows};

    fn sample() -> Vec<Row> {
        let line = |text: &str| serde_json::from_str(text).unwrap();
        let ours = [
            r#"{"case":"SelfNorm","what":"forward+backward (1)","value":4,"unit":"ms"}"#,
            r#"{"case":"CrossNorm","what":"forward+backward (1)","value":123.4,"unit":"ms"}"#,
            r#"{"case":"BatchNorm+ReLU","what":"forward+backward (1)","value":1,"unit":"ms"}"#,
        ];
        let theirs = [
            r#"{"case":"SelfNorm","what":"forward+backward (1)","value":24,"unit":"ms"}"#,
            r#"{"case":"CrossNorm","what":"forward+backward (1)","value":246.8,"unit":"ms"}"#,
        ];
        rows(&[Round { ours: ours.map(line).into(), theirs: theirs.map(line).into() }], true)
    }

    #[test]
    fn the_table_leaves_out_what_is_empty() {
        let wanted = "\
case            what                  ours  peer  unit  ratio  low to high    bar
SelfNorm        forward+backward (1)  4.00  24.0  ms     6.00  6.00 to 6.00  5.00  ok
CrossNorm       forward+backward (1)   123   247  ms     2.00  2.00 to 2.00  6.00  short
BatchNorm+ReLU  forward+backward (1)  1.00        ms                         1.50
";
        assert_eq!(table(&sample(), &Roofline::default()), wanted);
    }

    #[test]
    fn the_verdict_counts_what_was_measured_and_names_the_rest() {
        let (text, good) = verdict(&sample(), &[Case::Layers]);
        assert!(
            text.starts_with("1 of 2 bars hold; not measured: BatchNorm+ReLU: forward+backward (1); conv3x3: geom"),
            "{text}"
        );
        assert!(!good && !text.contains("wrn40_2"));
        assert_eq!(verdict(&[], &[]), ("no bar was measured".to_string(), true));
    }

    #[test]
    fn a_row_is_one_object() {
        let text = json(&sample()[2], &Roofline::default()).to_string();
        let wanted = r#"{"case":"BatchNorm+ReLU","what":"forward+backward (1)","ours":1.0,"peer":null,"ratio":null,"low":null,"high":null,"bar":1.5,"holds":null,"unit":"ms","limit":null}"#;
        assert_eq!(text, wanted);
    }
}

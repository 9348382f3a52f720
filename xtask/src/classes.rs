//! The IoU of every class in a report on segmentation: a table and a heat map for each test set.

use crate::results::Results;
use crate::sheet::{NONE, Sheet, distinct, percent};
use sncn_report::Grid;
use sncn_report::HeatMap;

/// The classes that were measured on a set, in the order of the class list.
pub(crate) fn names(sheet: &Sheet, set: &str) -> Vec<String> {
    let results = || sheet.measured().into_iter().flat_map(|(_, results)| results);
    let found = distinct(results().flat_map(|results| results.classes_of(set)));
    let listed = distinct(results().flat_map(|results| results.header.classes.iter().map(String::as_str)));
    listed.into_iter().filter(|name| found.contains(name)).map(str::to_string).collect()
}

/// Classes × rows.
pub(crate) fn grid(sheet: &Sheet, set: &str) -> Grid {
    let rows = sheet.measured();
    let head = std::iter::once("class".to_string()).chain(rows.iter().map(|(row, _)| row.name.clone()));
    let mut grid = Grid::new(head.collect());
    for class in names(sheet, set) {
        let cell =
            |results: &[Results]| percent(results, set, &format!("iou/{class}")).map_or(NONE.to_string(), |e| e.to_string());
        grid.push(std::iter::once(class.clone()).chain(rows.iter().map(|(_, results)| cell(results))).collect());
    }
    grid
}

/// Rows × classes.
pub(crate) fn heat(sheet: &Sheet, set: &str) -> HeatMap {
    let (rows, classes) = (sheet.measured(), names(sheet, set));
    let cells = |results: &[Results]| {
        let of = |class: &String| percent(results, set, &format!("iou/{class}")).map(|estimate| estimate.mean);
        classes.iter().map(of).chain([percent(results, set, "miou").map(|estimate| estimate.mean)]).collect()
    };
    HeatMap {
        title: format!("IoU on {set}, by row and class"),
        rows: rows.iter().map(|(row, _)| row.name.clone()).collect(),
        columns: classes.iter().cloned().chain(["mean".to_string()]).collect(),
        values: rows.iter().map(|(_, results)| cells(results)).collect(),
        legend: "IoU %, mean over seeds".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Collected;
    use crate::sheet::tests::table;
    use serde_json::json;

    fn results(row: &str, classes: &[(&str, f64)]) -> Results {
        let header = json!({"format": 1, "row": row, "seed": 0, "run": {}, "classes": ["road", "car", "train"]});
        let mut lines = vec![header.to_string(), json!({"split": "s", "metric": "miou", "value": 0.5, "n": 9}).to_string()];
        let line = |(name, value): &(&str, f64)| json!({"split": "s", "metric": format!("iou/{name}"), "value": value, "n": 9});
        lines.extend(classes.iter().map(|class| line(class).to_string()));
        lines.push(json!({"complete": true, "measurements": lines.len() - 1}).to_string());
        Results::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_class_that_a_row_lacks_is_a_dash_and_one_that_none_has_is_left_out() {
        let mut table = table();
        table.file.task = "segment".into();
        let found =
            [vec![results("base", &[("car", 0.25), ("road", 0.75)])], vec![results("good", &[("road", 0.5)])], Vec::new()];
        let collected = Collected { rows: table.rows().iter().cloned().zip(found).collect(), left_out: Vec::new() };
        let sheet = Sheet::new(&table, &collected);
        assert_eq!(names(&sheet, "s"), ["road", "car"]);
        let text = grid(&sheet, "s").markdown();
        assert!(text.contains("| car   | 25.00 |") && text.contains("–") && !text.contains("NaN"), "{text}");
        let map = heat(&sheet, "s");
        assert_eq!(map.columns, ["road", "car", "mean"]);
        assert_eq!(map.values, [[Some(75.), Some(25.), Some(50.)], [Some(50.), None, Some(50.)]]);
    }
}

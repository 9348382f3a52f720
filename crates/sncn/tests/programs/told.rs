//! What training tells by epoch stands in results.

use crate::common::{resumes, sncn, table, train};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn the_loss_of_every_epoch_stands_in_results_and_a_stopped_run_has_the_same() {
    let (folder, table) = table(|row| row["test"] = json!(["shapes"]));
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&table, &whole).assert().success();
    resumes(&|| train(&table, &parts), &parts, [8, 14], 12, 20);
    let told = |run: &Path| -> Vec<Value> {
        let output =
            sncn().arg("evaluate").arg("--run-dir").arg(run).arg("--json").assert().success().get_output().stdout.clone();
        let lines = String::from_utf8(output).unwrap();
        let all = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        all.filter(|line| line["split"] == "training").collect()
    };
    let (whole, parts) = (told(&whole), told(&parts));
    assert_eq!(whole, parts);
    let value = |metric: &str| whole.iter().find(|line| line["metric"] == metric).map(|line| line["value"].as_f64().unwrap());
    assert!(value("loss/1/mean").unwrap() > 0. && value("loss/3/mean").is_none());
    assert_eq!(value("loss/2/mean"), value("loss"));
}

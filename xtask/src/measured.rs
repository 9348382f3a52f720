//! The page of committed measurements by `robustness`: `results/robustness/<name>.jsonl`, each of a model that was not trained by a table's
//! row.

use crate::document::Files;
use crate::provenance;
use crate::results::Results;
use anyhow::{Context, Result};
use serde_json::Value;
use sncn_record::{TASKS, Task};
use sncn_report::{Grid, HeatMap};
use std::path::Path;

/// The name of the folder, of its page and of the page's pictures.
pub(crate) const NAME: &str = "robustness";
/// The share of changed answers, as results name it.
const CHANGED: &str = "changed";
/// What stands where there is no number.
const NONE: &str = "–";

/// A measurement of one model.
struct Measured {
    /// The name of its file.
    name: String,
    results: Results,
    task: &'static Task,
}

impl Measured {
    fn read(name: &str, folder: &Path) -> Result<Self> {
        let results = Results::read(&folder.join(format!("{name}.jsonl")))?;
        let fits = |task: &&Task| results.value(task.examples, task.metric).is_some();
        let task = TASKS.into_iter().find(fits).with_context(|| format!("{name}.jsonl: not of robustness"))?;
        Ok(Self { name: name.to_string(), results, task })
    }

    fn set(&self) -> String {
        format!("{}-c", self.task.examples)
    }

    /// The severities, as splits name them.
    fn severities(&self) -> Vec<String> {
        let of = |split: &str| Some(split.strip_prefix(&self.set())?.strip_prefix('/')?.split_once('/')?.1.to_string());
        self.results.splits().filter_map(of).fold(Vec::new(), |mut all, severity| {
            if !all.contains(&severity) {
                all.push(severity);
            }
            all
        })
    }

    /// The main metric under a shift, at each severity, and the mean; in percent.
    fn shift(&self, shift: &str) -> Vec<Option<f64>> {
        let set = self.set();
        let at = |severity: &String| self.results.value(&format!("{set}/{shift}/{severity}"), self.task.metric);
        let mean = self.results.mean(&format!("{set}/{shift}"), self.task.metric);
        let each = self.severities().iter().map(at).collect::<Vec<_>>();
        each.into_iter().chain([mean]).map(|value| value.map(|value| 100. * value)).collect()
    }

    /// The protocol's name of the data, and how many of its examples were measured.
    fn data(&self) -> String {
        let protocol = &self.results.header.run["protocol"];
        let name = protocol.get("data").and_then(Value::as_str).unwrap_or(NONE);
        let count = self.results.examples(self.task.examples, self.task.metric).unwrap_or_default();
        let counted =
            if self.task.counted == self.task.examples { format!(", {count} {}", self.task.examples) } else { String::new() };
        format!("{name}{counted}")
    }

    /// Its line among all.
    fn line(&self) -> Vec<String> {
        let (results, task) = (&self.results, self.task);
        let percent = |value: Option<f64>| value.map_or(NONE.to_string(), |value| format!("{:.2}", 100. * value));
        let (clean, shifted) = (results.value(task.examples, task.metric), results.mean(&self.set(), task.metric));
        let more = clean.zip(shifted).map(|(clean, shifted)| format!("{:+.2}", 100. * (shifted - clean)));
        vec![
            results.header.row.clone(),
            self.data(),
            task.called.to_string(),
            percent(clean),
            percent(shifted),
            more.unwrap_or(NONE.to_string()),
            percent(results.mean(&self.set(), CHANGED)),
            percent(results.value(task.examples, "ece")),
        ]
    }

    /// Its part of the page, and the picture that it shows.
    fn section(&self) -> (String, (String, String)) {
        let (task, set) = (self.task, self.set());
        let severities = self.severities();
        let shifts: Vec<String> = self.results.corruptions(&set).into_iter().map(str::to_string).collect();
        let heads = [task.shift.to_string()].into_iter().chain(severities.iter().map(|severity| format!("severity {severity}")));
        let mut grid = Grid::new(heads.chain(["mean", CHANGED].map(str::to_string)).collect());
        for shift in &shifts {
            let cells = self.shift(shift).into_iter().map(|value| value.map_or(NONE.to_string(), |value| format!("{value:.2}")));
            let changed = self.results.mean(&format!("{set}/{shift}"), CHANGED);
            let changed = changed.map_or(NONE.to_string(), |changed| format!("{:.2}", 100. * changed));
            grid.push([shift.clone()].into_iter().chain(cells).chain([changed]).collect());
        }
        let heat = HeatMap {
            title: format!("{}: {} % by {} and severity", self.results.header.row, task.called, task.shift),
            rows: shifts.clone(),
            columns: severities.iter().cloned().chain(["mean".to_string()]).collect(),
            values: shifts.iter().map(|shift| self.shift(shift)).collect(),
            legend: self.data(),
        };
        let file = format!("{NAME}-{}.svg", self.name);
        let header = &self.results.header;
        let mut text = format!("\n## {}\n\n{} in percent.\n\n{}", self.name, task.title, grid.markdown());
        text += &format!("\n![{}]({file})\n\n", heat.title);
        header.notes.iter().for_each(|note| text += &format!("- {note}\n"));
        text += &format!("- commit {}; {}\n", provenance::commit(&header.built), provenance::machine(header));
        (text, (file, heat.svg()))
    }
}

/// The page of a folder with its pictures, and what stands of it in the index; nothing where there are no measurements.
///
/// # Errors
/// Where a file is damaged, or of something else.
pub(crate) fn page(folder: &Path, notes: &str) -> Result<Option<(String, Files)>> {
    let names = crate::files::names(folder, "jsonl");
    let all = names.iter().map(|name| Measured::read(name, folder)).collect::<Result<Vec<_>>>()?;
    if all.is_empty() {
        return Ok(None);
    }
    let heads = ["model", "data", "metric", "clean %", "shifted %", "Δ", "changed %", "ECE %, clean"];
    let mut grid = Grid::new(heads.map(str::to_string).to_vec());
    all.iter().for_each(|measured| grid.push(measured.line()));
    let mut text = format!(
        "# Models measured by `{NAME}`\n\nRendered from `results/{NAME}`; do not edit.\n\n{}\n`shifted`: the mean over all corruptions or shifts \
         and severities; Δ: the difference to `clean`, in points; `changed`: the share of answers that differ from those to the clean examples.\n",
        grid.markdown()
    );
    if !notes.trim().is_empty() {
        text += &format!("\n{}\n", notes.trim());
    }
    let mut files = Vec::new();
    for measured in &all {
        let (section, picture) = measured.section();
        text += &section;
        files.push(picture);
    }
    Ok(Some((text, files)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_measurement_is_a_line_and_a_section() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(page(folder.path(), "")?.is_none());
        let lines = [
            json!({"format": 1, "row": "a.onnx", "seed": 0, "run": {"protocol": {"data": "photos"}}, "notes": ["a.onnx on 8 images"]}),
            json!({"split": "images", "metric": "error", "value": 0.25, "n": 8}),
            json!({"split": "images-c/fog/1", "metric": "error", "value": 0.5, "n": 8}),
            json!({"split": "images-c/fog/1", "metric": "changed", "value": 0.375, "n": 8}),
            json!({"split": "images-c/fog/5", "metric": "error", "value": 1.0, "n": 8}),
            json!({"complete": true, "measurements": 4}),
        ];
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(folder.path().join("a.jsonl"), &text)?;
        let (page_text, files) = page(folder.path(), "A remark.")?.context("a page")?;
        for part in [
            "| a.onnx | photos, 8 images |  error |   25.00 |     75.00 | +50.00 |     37.50 |            – |",
            "| fog        |      50.00 |     100.00 | 75.00 |   37.50 |",
            "![a.onnx: error % by corruption and severity](robustness-a.svg)",
            "- a.onnx on 8 images\n- commit unknown",
            "\nA remark.\n",
        ] {
            assert!(page_text.contains(part), "{part:?} is missing in\n{page_text}");
        }
        assert!(files.len() == 1 && files[0].1.starts_with("<svg"));
        std::fs::write(folder.path().join("b.jsonl"), text.replace("\"images\"", "\"pictures\""))?;
        assert!(page(folder.path(), "").unwrap_err().to_string().contains("b.jsonl: not of robustness"));
        Ok(())
    }
}

//! `Table`: a table file, `models/<name>.json`, as far as this program reads it.
//!
//! The program that trains resolves the table; here it is read for names, headings and published numbers.

use crate::measure::{MEASURES, Measure};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Where the table files are.
pub(crate) const FOLDER: &str = "models";
/// The table that only tests the way; its results are no results.
pub(crate) const SMOKE: &str = "smoke";
/// The table that reports are rendered of where none is named.
pub(crate) const QUICK: &str = "quick";
/// The tables of `cargo xtask reproduce` without arguments.
pub(crate) const DEFAULTS: [&str; 3] = [QUICK, "scenes", "reviews"];

/// A table file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Table {
    /// Heading.
    pub(crate) title: String,
    /// Where the published numbers come from.
    #[serde(default)]
    pub(crate) paper: String,
    /// What is trained and evaluated.
    #[serde(default = "classify")]
    pub(crate) task: String,
    /// Seeds of every row.
    pub(crate) seeds: Vec<u64>,
    /// The row that others are compared with.
    #[serde(default)]
    pub(crate) baseline: Option<String>,
    /// Whether every machine makes its own results, which are not committed.
    #[serde(default)]
    local: bool,
    /// Keys that every run starts from.
    #[serde(default)]
    defaults: Map<String, Value>,
    runs: Vec<Map<String, Value>>,
    /// Name of the file without `.json`.
    #[serde(skip)]
    pub(crate) name: String,
    /// The file.
    #[serde(skip)]
    pub(crate) path: PathBuf,
}

fn classify() -> String {
    "classify".to_string()
}

/// A row as the table gives it: defaults, replaced by its own keys.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: String,
    /// Its keys.
    pub(crate) keys: Map<String, Value>,
}

impl Table {
    /// Reads `models/<given>.json`, or the file `given` relative to the folder `here`.
    ///
    /// # Errors
    /// Where there is none (the known tables are listed), or a key is missing.
    pub(crate) fn read(given: &str, here: &Path) -> Result<Self> {
        let (file, named) = (here.join(given), Path::new(FOLDER).join(format!("{given}.json")));
        let path = match (file.is_file(), named.is_file(), Path::new(given).is_file()) {
            (true, _, _) => file,
            (_, true, _) => named,
            (_, _, true) => PathBuf::from(given),
            _ => {
                let known = crate::files::names(Path::new(FOLDER), "json").join(", ");
                bail!("unknown table {given:?}; in {FOLDER}/ are: {known} (or give the path of a table file)")
            }
        };
        // a path inside the tree is told relative to it
        let root = std::env::current_dir().context("the current folder is not readable")?;
        let path = path.strip_prefix(&root).map_or(path.clone(), Path::to_path_buf);
        let at = || path.display().to_string();
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}: not readable", at()))?;
        let mut table: Self = serde_json::from_str(&text).with_context(|| format!("{}: not a table", at()))?;
        Measure::of(&table.task).with_context(at)?;
        table.name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        table.path = path;
        Ok(table)
    }

    /// Its rows, in order.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let merged = |own: &Map<String, Value>| {
            let mut keys = self.defaults.clone();
            keys.extend(own.clone());
            let name = keys.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
            Row { name, keys }
        };
        self.runs.iter().map(merged).collect()
    }

    /// The row that a row is compared with.
    pub(crate) fn baseline_of<'a>(&'a self, row: &'a Row) -> Option<&'a str> {
        row.keys.get("baseline").and_then(Value::as_str).or(self.baseline.as_deref())
    }

    /// What it is about.
    pub(crate) fn measure(&self) -> &'static Measure {
        // `read` has looked the task up
        Measure::of(&self.task).unwrap_or(&MEASURES[0])
    }

    /// Folder of the results: committed for a table of results, ignored where each machine is to make its own.
    pub(crate) fn results(&self) -> PathBuf {
        let folder = if self.local { "runs/results" } else { "results" };
        Path::new(folder).join(safe(&self.name))
    }

    /// The results file of a cell.
    pub(crate) fn results_file(&self, row: &str, seed: u64) -> PathBuf {
        self.results().join(safe(row)).join(format!("seed-{seed}.jsonl"))
    }

    /// The folder of the checkpoints of a cell.
    pub(crate) fn run_dir(&self, row: &str, seed: u64) -> PathBuf {
        Path::new("runs").join(safe(&self.name)).join(safe(row)).join(format!("seed-{seed}"))
    }
}

impl Row {
    /// Its test sets, in order.
    pub(crate) fn tests(&self) -> Vec<&str> {
        self.keys.get("test").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Its published numbers, `<set>.<metric>` and percent.
    pub(crate) fn published(&self) -> Vec<(&str, f64)> {
        let map = self.keys.get("published").and_then(Value::as_object);
        map.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_f64()?))).collect()
    }

    /// The first key in which a resolved run differs from this row, if any.
    ///
    /// A resolved run also has the keys that the table leaves to their default, and those are not judged, but for a key of
    /// the run itself that holds something the table does not ask for.
    pub(crate) fn difference(&self, run: &Value) -> Option<String> {
        let Some(resolved) = run.as_object() else { return Some("run".to_string()) };
        let asked = self.keys.iter().find(|(key, value)| {
            !REMARKS.contains(&key.as_str()) && !contains(resolved.get(key.as_str()).unwrap_or(&Value::Null), value)
        });
        let surplus = resolved
            .iter()
            .find(|(key, value)| !REMARKS.contains(&key.as_str()) && !self.keys.contains_key(key.as_str()) && !is_empty(value));
        asked.or(surplus).map(|(key, _)| key.clone())
    }
}

/// Keys of a run that change no number.
pub(crate) const REMARKS: [&str; 3] = ["published", "note", "baseline"];

/// The run without the keys that change no number.
pub(crate) fn what_counts(run: &Value) -> Value {
    let mut run = run.clone();
    if let Some(map) = run.as_object_mut() {
        map.retain(|key, _| !REMARKS.contains(&key.as_str()));
    }
    run
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(_) => false,
    }
}

fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, value)| contains(whole.get(key).unwrap_or(&Value::Null), value))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (Value::Number(whole), Value::Number(part)) => whole.as_f64() == part.as_f64(),
        _ => whole == part,
    }
}

/// A name as one folder name: `wrn40_2/cnsn` is `wrn40_2__cnsn`.
pub(crate) fn safe(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let name: String = name.replace('/', "__").chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_safe_folder_names() {
        assert_eq!(safe("wrn40_2/cnsn"), "wrn40_2__cnsn");
        assert_eq!(safe("../a b"), "_..__a_b");
    }

    #[test]
    fn a_changed_key_is_found_and_a_default_is_not() -> Result<()> {
        let keys = json!({"name": "a", "epochs": 3, "lr": 1, "layers": [{"kind": "cn"}], "note": "x"});
        let row = Row { name: "a".into(), keys: keys.as_object().cloned().unwrap_or_default() };
        let run = json!({"name": "a", "epochs": 3, "lr": 1.0, "layers": [{"kind": "cn", "beta": 1.0}], "note": "", "mix": null});
        assert_eq!(row.difference(&run), None);
        let with = |key: &str, value: Value| {
            let mut run = run.clone();
            run[key] = value;
            row.difference(&run)
        };
        assert_eq!(with("epochs", json!(4)).as_deref(), Some("epochs"));
        assert_eq!(with("mix", json!({"active": 1})).as_deref(), Some("mix"));
        assert_eq!(with("augment", json!(true)).as_deref(), Some("augment"));
        Ok(())
    }

    #[test]
    fn an_unknown_table_lists_the_known_ones() {
        let error = Table::read("nonesuch", Path::new(".")).unwrap_err();
        assert!(format!("{error:#}").contains("unknown table \"nonesuch\"; in models/ are: "), "{error:#}");
    }
}

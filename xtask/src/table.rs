//! `Table`: a table file, `models/<name>.json`, as far as this program reads it.
//!
//! The program that trains resolves the table; here it is read for names, headings and published numbers.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use sncn_record::run::REMARKS;
use sncn_record::task::CLASSIFY;
use sncn_record::{Run, Task, TrainedBy};
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// Where the table files are.
pub(crate) const FOLDER: &str = "models";
/// The table that only tests the way; its results are no results.
pub(crate) const SMOKE: &str = "smoke";
/// The table that reports are rendered of where none is named.
pub(crate) const QUICK: &str = "quick";
/// The tables of `cargo xtask reproduce` without arguments.
pub(crate) const DEFAULTS: [&str; 3] = [QUICK, "scenes", "reviews"];

/// A table file with its place in the tree.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// What the file says.
    pub(crate) file: sncn_record::Table,
    /// Its rows, in order.
    rows: Vec<Row>,
    /// Name of the file without `.json`.
    pub(crate) name: String,
    /// The file.
    pub(crate) path: PathBuf,
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Its run; what belongs to the crates that train is as the table has it, without the settings left to their defaults.
    pub(crate) run: Run,
    /// The keys that the table gives it: its own and the defaults.
    keys: Map<String, Value>,
}

impl Deref for Row {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl Deref for Table {
    type Target = sncn_record::Table;

    fn deref(&self) -> &Self::Target {
        &self.file
    }
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
        Self::parse(&text, &path).with_context(at)
    }

    /// Reads the text of a table file that lies at `path`.
    ///
    /// # Errors
    /// Where the task is unknown, or a key does not fit.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self> {
        let other = |name: &str| Ok(std::fs::read_to_string(sncn_record::beside(path, name))?);
        let file = sncn_record::Table::parse_beside(text, &other)?;
        Task::of(&file.task)?;
        let rows = file.resolve()?.into_iter().zip(file.rows()).map(|(run, keys)| Row { run, keys }).collect();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { file, rows, name, path: path.to_path_buf() })
    }

    /// Its rows, in order.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row that a row is compared with.
    pub(crate) fn baseline_of<'a>(&'a self, row: &'a Row) -> Option<&'a str> {
        row.baseline.as_deref().or(self.baseline.as_deref())
    }

    /// The table whose row trains what a row of this one tests: another, or this one itself.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(crate) fn trainer(&self, by: &TrainedBy) -> Result<Self> {
        match &by.table {
            None => Ok(self.clone()),
            Some(name) => Self::read(&sncn_record::beside(&self.path, name).to_string_lossy(), Path::new("")),
        }
    }

    /// What it is about.
    pub(crate) fn task(&self) -> &'static Task {
        // `read` has looked the task up
        Task::of(&self.task).unwrap_or(&CLASSIFY)
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

    /// Folder of what cells have said, and of what was handed to a cluster.
    pub(crate) fn logs(&self) -> PathBuf {
        Path::new("runs").join(safe(&self.name)).join("logs")
    }

    /// The folder of the checkpoints of a cell.
    pub(crate) fn run_dir(&self, row: &str, seed: u64) -> PathBuf {
        Path::new("runs").join(safe(&self.name)).join(safe(row)).join(format!("seed-{seed}"))
    }
}

impl Row {
    /// The first key in which a resolved run differs from this row, if any.
    ///
    /// A resolved run also has the keys that the table leaves to their default, and those are not judged, but for a key of
    /// the run itself that holds something the table does not ask for. Nor is a name judged that stands for settings, which a resolved run
    /// has in its place (`"input": "imagenet"`, or `"like"` it): only the program knows them.
    pub(crate) fn difference(&self, run: &Value) -> Option<String> {
        let Some(resolved) = run.as_object() else { return Some("run".to_string()) };
        let asked = self.keys.iter().find(|(key, value)| {
            let fits = if key.as_str() == "input" { is_input } else { contains };
            !REMARKS.contains(&key.as_str()) && !fits(resolved.get(key.as_str()).unwrap_or(&Value::Null), value)
        });
        let surplus = resolved
            .iter()
            .find(|(key, value)| !REMARKS.contains(&key.as_str()) && !self.keys.contains_key(key.as_str()) && !is_empty(value));
        asked.or(surplus).map(|(key, _)| key.clone())
    }
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

/// [`contains`] for preprocessing, which a table may name.
fn is_input(resolved: &Value, asked: &Value) -> bool {
    match asked {
        Value::String(_) => resolved.is_object() || resolved == asked,
        Value::Object(keys) if keys.contains_key("like") => {
            let own = keys.iter().filter(|(key, _)| *key != "like").map(|(key, value)| (key.clone(), value.clone())).collect();
            resolved.is_object() && contains(resolved, &Value::Object(own))
        }
        _ => contains(resolved, asked),
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
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A table with everything that a run needs besides the keys of these rows.
    pub(crate) fn complete(runs: &[Value]) -> Table {
        let plain = json!({"kind": "plain"});
        let text = json!({"title": "A title", "paper": "a paper", "task": "classify", "seeds": [0, 1], "select": "last",
            "defaults": {"train": "s", "test": ["s", "s-c"], "backbone": "net", "epochs": 2, "batch_size": 8, "lr": 0.1,
                "optimizer": plain, "schedule": plain, "objective": plain},
            "runs": runs});
        Table::parse(&text.to_string(), Path::new("models/t.json")).unwrap()
    }

    #[test]
    fn names_are_safe_folder_names() {
        assert_eq!(safe("wrn40_2/cnsn"), "wrn40_2__cnsn");
        assert_eq!(safe("../a b"), "_..__a_b");
    }

    #[test]
    fn a_changed_key_is_found_and_a_default_is_not() -> Result<()> {
        let input = json!({"like": "imagenet", "size": 64});
        let row = json!({"name": "a", "epochs": 3, "lr": 1, "layers": [{"kind": "cn"}], "note": "x", "input": input});
        let row = complete(&[row]).rows().first().cloned().context("a row")?;
        let mut run = serde_json::to_value(&row.run)?;
        (run["layers"][0]["beta"], run["note"]) = (json!(1.0), json!(""));
        run["input"] = json!({"size": 64, "mean": [0.5, 0.5, 0.5]});
        assert_eq!(row.difference(&run), None);
        let with = |key: &str, value: Value| {
            let mut run = run.clone();
            run[key] = value;
            row.difference(&run)
        };
        assert_eq!(with("epochs", json!(4)).as_deref(), Some("epochs"));
        assert_eq!(with("input", json!({"size": 96, "mean": [0.5, 0.5, 0.5]})).as_deref(), Some("input"));
        assert_eq!(with("backbone", json!({"kind": "net"})).as_deref(), Some("backbone"));
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

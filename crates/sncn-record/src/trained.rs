//! Rows that test the network of another row: trained once, tested in many ways.
//!
//! A row with the key `trained` begins with the keys of the row that it names, in this table or in one beside it. What says how a network is
//! tested ([`EVALUATION`]) is replaced by this table's defaults, and then by the row's own keys; it may set no other.

use crate::run::{EVALUATION, REMARKS, TrainedBy};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The key of a row that tests another's network.
const TRAINED: &str = "trained";

/// Any error.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Gives the text of another table by the name that a row has for it.
pub(crate) type Other<'a> = dyn Fn(&str) -> Result<String, BoxError> + 'a;

/// A table as far as its rows are read.
pub(crate) struct Rows {
    pub(crate) task: String,
    pub(crate) defaults: Map<String, Value>,
    pub(crate) runs: Vec<Map<String, Value>>,
}

/// The keys of a row: the defaults, replaced by its own. A row that tests another's network has all its keys once it was completed.
pub(crate) fn merged(defaults: &Map<String, Value>, keys: &Map<String, Value>) -> Map<String, Value> {
    match keys.contains_key(TRAINED) {
        true => keys.clone(),
        false => defaults.clone().into_iter().chain(keys.clone()).collect(),
    }
}

/// Why the row that another tests was refused.
#[derive(Debug, thiserror::Error)]
pub enum TrainedError {
    /// The key has another form.
    #[error("{{\"table\": …, \"row\": …}} is wanted, or {{\"row\": …}} for a row of this table")]
    Key(#[source] serde_json::Error),
    /// The table cannot be read.
    #[error("the table {name:?} cannot be read; a file beside this table is wanted")]
    Read {
        /// Its name.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// The table does not fit.
    #[error("the table {name:?}")]
    Table {
        /// Its name.
        name: String,
        /// Why.
        source: BoxError,
    },
    /// The table is of another task.
    #[error("the table {name:?} is of the task {other:?}, this one of {own:?}; a table of the same task is wanted")]
    Task {
        /// Its name.
        name: String,
        /// Its task.
        other: String,
        /// That of the row's table.
        own: String,
    },
    /// There is no such row.
    #[error("no row {row:?}; known: {}", .known.join(", "))]
    Row {
        /// Its name.
        row: String,
        /// The rows that train.
        known: Vec<String>,
    },
    /// The row tests the network of yet another.
    #[error("the row {0:?} trains nothing itself; name the one that does")]
    Chain(String),
    /// A key belongs to training.
    #[error("{key} is set, which the row that trains says ({row:?}); only {} may be set here", EVALUATION.join(", "))]
    Training {
        /// The key.
        key: String,
        /// The row that trains.
        row: String,
    },
}

/// The file of the table that a row of the table at `path` calls `name`.
pub fn beside(path: &Path, name: &str) -> PathBuf {
    let file = if name.ends_with(".json") { name.to_string() } else { format!("{name}.json") };
    path.with_file_name(file)
}

fn is_of_testing(key: &str) -> bool {
    EVALUATION.contains(&key)
}

/// All keys of a row of a table: those that it has, or if it tests another's network, that row's with its own in their places. `other`
/// reads another table.
pub(crate) fn completed(
    table: &Rows,
    keys: &Map<String, Value>,
    other: impl Fn(&str) -> Result<Rows, TrainedError>,
) -> Result<Map<String, Value>, TrainedError> {
    let Some(by) = keys.get(TRAINED) else { return Ok(keys.clone()) };
    let by: TrainedBy = serde_json::from_value(by.clone()).map_err(TrainedError::Key)?;
    let own = |key: &str| key == "name" || REMARKS.contains(&key) || is_of_testing(key);
    if let Some(key) = keys.keys().find(|key| !own(key)) {
        return Err(TrainedError::Training { key: key.clone(), row: by.row });
    }
    let mut whole = match &by.table {
        None => trainer(table, &by.row)?,
        Some(name) => {
            let found = other(name)?;
            if found.task != table.task {
                return Err(TrainedError::Task { name: name.clone(), other: found.task, own: table.task.clone() });
            }
            trainer(&found, &by.row)?
        }
    };
    REMARKS.iter().for_each(|key| drop(whole.shift_remove(*key)));
    let defaults = table.defaults.iter().filter(|(key, _)| is_of_testing(key));
    for (key, value) in defaults.chain(keys) {
        whole.insert(key.clone(), value.clone());
    }
    Ok(whole)
}

/// The keys of the row that trains.
fn trainer(table: &Rows, row: &str) -> Result<Map<String, Value>, TrainedError> {
    let name = |keys: &Map<String, Value>| keys.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
    match table.runs.iter().find(|keys| name(keys) == row) {
        Some(keys) if keys.contains_key(TRAINED) => Err(TrainedError::Chain(row.to_string())),
        Some(keys) => Ok(merged(&table.defaults, keys)),
        None => {
            let known = table.runs.iter().filter(|keys| !keys.contains_key(TRAINED)).map(name).collect();
            Err(TrainedError::Row { row: row.to_string(), known })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::trained_differently;
    use crate::table::{Table, TableError};
    use serde_json::json;
    use std::error::Error;

    /// A table of these rows.
    fn text(task: &str, epochs: usize, runs: &Value) -> String {
        let kind = json!({"kind": "plain"});
        let table = json!({"title": "t", "task": task, "seeds": [0], "select": "last",
            "defaults": {"train": "s", "test": ["s"], "test_limit": 5, "backbone": "net", "epochs": epochs, "batch_size": 8, "lr": 0.1,
                "optimizer": kind, "schedule": kind, "objective": kind},
            "runs": runs});
        table.to_string()
    }

    fn read(task: &str, runs: &Value) -> Result<Table, TableError> {
        let trainers = json!([{"name": "sn", "layers": [{"kind": "selfnorm", "at": "post"}], "note": "n", "test_limit": 9},
            {"name": "again", "trained": {"row": "sn"}}]);
        Table::parse_beside(&text(task, 2, runs), &|name| match name {
            "short" => Ok(text("classify", 7, &trainers)),
            _ => Err("no such file".into()),
        })
    }

    fn told(runs: &Value) -> String {
        let error = read("classify", runs).unwrap_err();
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            told += &format!(": {error}");
            source = error.source();
        }
        told
    }

    #[test]
    fn a_row_tests_what_another_trains_in_its_own_way() -> Result<(), TableError> {
        let other = json!({"table": "short", "row": "sn"});
        let runs = json!([{"name": "own", "lr": 0.5}, {"name": "batch", "trained": {"row": "own"}, "adapt": {"kind": "batch"}},
            {"name": "sn", "trained": other, "test": ["s-c"]}]);
        let table = read("classify", &runs)?;
        let resolved = table.resolve()?;
        assert_eq!((resolved[1].lr, resolved[1].epochs, &resolved[1].adapt["kind"]), (0.5, 2, &json!("batch")));
        assert_eq!((resolved[2].epochs, resolved[2].layers.len(), resolved[2].note.as_str()), (7, 1, ""));
        // the defaults of this table say how it is tested, not those of the other
        assert_eq!((resolved[2].test_limit, resolved[2].test.as_slice()), (Some(5), &["s-c".to_string()][..]));
        let of = |at: usize| serde_json::to_value(&resolved[at]).unwrap();
        assert_eq!(trained_differently(&of(0), &of(1)), None);
        assert_eq!(trained_differently(&of(0), &of(2)), Some("epochs"));
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let of = |trained: Value| told(&json!([{"name": "own"}, {"name": "a", "trained": trained}]));
        assert!(of(json!("own")).contains("run \"a\": trained: {\"table\": …, \"row\": …} is wanted"), "{}", of(json!("own")));
        assert!(of(json!({"row": "none"})).contains("no row \"none\"; known: own"));
        assert!(of(json!({"row": "a"})).contains("the row \"a\" trains nothing itself"));
        assert!(
            of(json!({"table": "long", "row": "sn"}))
                .contains("the table \"long\" cannot be read; a file beside this table is wanted: no such file")
        );
        assert!(of(json!({"table": "short", "row": "again"})).contains("the row \"again\" trains nothing itself"));
        let sets = told(&json!([{"name": "own"}, {"name": "a", "trained": {"row": "own"}, "lr": 1}]));
        assert!(
            sets.contains("run \"a\": trained: lr is set, which the row that trains says (\"own\"); only test, test_limit,"),
            "{sets}"
        );
        let task = read("segment", &json!([{"name": "a", "trained": {"table": "short", "row": "sn"}}])).unwrap_err();
        assert!(task.source().unwrap().to_string().contains("is of the task \"classify\", this one of \"segment\""));
    }

    #[test]
    fn tables_lie_beside_each_other() {
        let path = Path::new("models/a.json");
        assert_eq!(beside(path, "b"), Path::new("models/b.json"));
        assert_eq!(beside(path, "../b.json"), Path::new("models/../b.json"));
    }
}

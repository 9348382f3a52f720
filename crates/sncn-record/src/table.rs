//! `Table`: a table file resolved into fully specified runs.
//!
//! A run's keys replace the defaults' keys; there is no other inheritance. Everything that changes a number is in the
//! resolved run, which is written into every checkpoint and every results file.

use crate::run::{Run, RunError};
use crate::trained::{Other, Rows, TrainedError, completed, merged};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A table file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Heading of the report.
    pub title: String,
    /// Where the published numbers come from.
    #[serde(default)]
    pub paper: String,
    /// The name of a [`Task`](crate::Task).
    pub task: String,
    /// Seeds of every row.
    pub seeds: Vec<u64>,
    /// Which checkpoint is evaluated: `last`, or `validation`, the best on the validation set (every run has `early_stopping`).
    pub select: String,
    /// The row that others are compared with.
    #[serde(default)]
    pub baseline: Option<String>,
    /// Whether every machine makes its own results, which are not committed.
    #[serde(default)]
    pub local: bool,
    /// Keys that every run starts from.
    #[serde(default)]
    pub defaults: Map<String, Value>,
    /// The rows.
    pub runs: Vec<Map<String, Value>>,
}

/// Why a table was refused.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A key is unknown or missing, or its value is of another type; the message begins with the key's path.
    #[error(transparent)]
    Key(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// Something follows the table.
    #[error("the file does not end with the table")]
    More(#[source] serde_json::Error),
    /// `select` is unknown.
    #[error("select is {0:?}; \"last\" and \"validation\" are accepted")]
    Select(String),
    /// There is no seed.
    #[error("seeds is empty; at least one seed is wanted")]
    NoSeeds,
    /// A row was refused.
    #[error("run {name:?}")]
    Run {
        /// Its name.
        name: String,
        /// Why.
        source: RunError,
    },
    /// A row tests the network of another, which cannot be found, or sets a key that is that row's.
    #[error("run {name:?}: trained")]
    Trained {
        /// Its name.
        name: String,
        /// Why.
        source: TrainedError,
    },
    /// Two rows have one name.
    #[error("two runs are named {0:?}; rename one")]
    Twice(String),
    /// A row and its table choose the checkpoint in different ways.
    #[error("run {name:?}: early_stopping goes with select \"validation\", and select is {select:?}: set both or neither")]
    Selection {
        /// The row.
        name: String,
        /// The table's `select`.
        select: String,
    },
    /// A baseline is no row.
    #[error("baseline {0:?} is no run of this table")]
    Baseline(String),
    /// Rows that name each other as their baselines.
    #[error("the baselines go in a circle: {}; take the baseline of one of them away", .0.join(" -> "))]
    Circle(Vec<String>),
}

impl Table {
    /// Reads the text of a table file and checks its rows, as far as that needs no network.
    ///
    /// # Errors
    /// Names the key that does not fit, also where a row names another table; [`Table::parse_beside`] takes those.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        Self::parse_beside(text, &|_| Err("a table in a file is wanted: write this one to a file beside it".into()))
    }

    /// As [`Table::parse`]; `other` gives the text of a table that a row names (`trained`), from beside this one ([`beside`](crate::beside)).
    ///
    /// # Errors
    /// Names the key that does not fit, and the row and table that cannot be read.
    pub fn parse_beside(text: &str, other: &Other<'_>) -> Result<Self, TableError> {
        let mut table = Self::of_text(text)?;
        let read = |name: &str| {
            let text = other(name).map_err(|source| TrainedError::Read { name: name.to_string(), source })?;
            let fails = |source| TrainedError::Table { name: name.to_string(), source: Box::new(source) };
            Self::of_text(&text).map(|other| other.as_rows()).map_err(fails)
        };
        let own = table.as_rows();
        let whole = |keys: &Map<String, Value>| {
            completed(&own, keys, read).map_err(|source| TableError::Trained { name: name_of(keys), source })
        };
        table.runs = own.runs.iter().map(whole).collect::<Result<_, _>>()?;
        if !["last", "validation"].contains(&table.select.as_str()) {
            return Err(TableError::Select(table.select));
        }
        if table.seeds.is_empty() {
            return Err(TableError::NoSeeds);
        }
        match table.resolve()?.into_iter().find(|run| run.selection() != table.select) {
            Some(run) => Err(TableError::Selection { name: run.name, select: table.select }),
            None => Ok(table),
        }
    }

    /// The keys of a table file, as they stand there.
    fn of_text(text: &str) -> Result<Self, TableError> {
        // a byte order mark, as some editors write it, is no part of the text
        let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
        let table = serde_path_to_error::deserialize(&mut reader)?;
        reader.end().map_err(TableError::More)?;
        Ok(table)
    }

    /// The keys of every row: the defaults, replaced by its own. A row that tests another's network has all its keys already.
    pub fn rows(&self) -> impl Iterator<Item = Map<String, Value>> {
        self.runs.iter().map(|keys| merged(&self.defaults, keys))
    }

    fn as_rows(&self) -> Rows {
        Rows { task: self.task.clone(), defaults: self.defaults.clone(), runs: self.runs.clone() }
    }

    /// Every row, fully specified.
    ///
    /// # Errors
    /// Names the row and the key that does not fit.
    pub fn resolve(&self) -> Result<Vec<Run>, TableError> {
        let mut runs: Vec<Run> = Vec::new();
        for keys in self.rows() {
            let name = name_of(&keys);
            let run = Run::read(keys).map_err(|source| TableError::Run { name, source })?;
            if runs.iter().any(|other| other.name == run.name) {
                return Err(TableError::Twice(run.name));
            }
            runs.push(run);
        }
        let named = self.baseline.iter().chain(runs.iter().filter_map(|run| run.baseline.as_ref()));
        if let Some(baseline) = named.into_iter().find(|baseline| runs.iter().all(|run| run.name != **baseline)) {
            return Err(TableError::Baseline(baseline.clone()));
        }
        match runs.iter().find_map(|run| circle(&runs, run)) {
            Some(names) => Err(TableError::Circle(names)),
            None => Ok(runs),
        }
    }
}

/// What messages call a row.
fn name_of(keys: &Map<String, Value>) -> String {
    keys.get("name").and_then(Value::as_str).unwrap_or("without a name").to_string()
}

/// The names from a row over its baselines back to itself, if they lead there over others. A row that names itself is the
/// baseline of its kind.
fn circle(runs: &[Run], start: &Run) -> Option<Vec<String>> {
    let mut names = vec![start.name.clone()];
    let baseline = |run: &Run| run.baseline.clone().filter(|baseline| *baseline != run.name);
    while let Some(next) = runs.iter().find(|run| Some(&run.name) == names.last()).and_then(baseline) {
        let seen = names.contains(&next);
        names.push(next);
        if seen {
            return (names.first() == names.last()).then_some(names);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn table(runs: &str) -> Result<Vec<Run>, TableError> {
        let text = format!(
            r#"{{"title":"t","task":"classify","seeds":[0],"select":"last","defaults":{{"train":"shapes","test":["shapes"],
            "backbone":"wrn10_1","epochs":1,"batch_size":8,"lr":0.1,"optimizer":{{"kind":"sgd"}},"schedule":{{"kind":"constant"}},
            "objective":{{"kind":"plain"}}}},"runs":[{runs}]}}"#
        );
        serde_json::from_str::<Table>(&text).unwrap().resolve()
    }

    fn error(runs: &str) -> String {
        let error = table(runs).unwrap_err();
        error.source().map_or(error.to_string(), |source| format!("{error}: {source}"))
    }

    #[test]
    fn a_run_replaces_defaults_and_unknown_keys_are_named() -> Result<(), TableError> {
        let runs = table(r#"{"name":"a"},{"name":"b","epochs":3}"#)?;
        assert_eq!((runs[0].epochs, runs[1].epochs), (1, 3));
        assert!(error(r#"{"name":"a","epoch":3}"#).contains("run \"a\": epoch: unknown field"));
        assert!(error(r#"{"name":"a","epochs":"3"}"#).contains("run \"a\": epochs: invalid type"));
        assert!(error(r#"{"name":"a","epochs":0}"#).contains("epochs is 0"));
        assert!(error(r#"{"name":"a"},{"name":"a"}"#).contains("two runs are named \"a\""));
        assert!(error(r#"{"name":"a","baseline":"b"}"#).contains("baseline \"b\" is no run"));
        let circle = r#"{"name":"a","baseline":"b"},{"name":"b","baseline":"c"},{"name":"c","baseline":"b"}"#;
        assert!(error(circle).contains("in a circle: b -> c -> b;"), "{}", error(circle));
        assert!(table(r#"{"name":"a","baseline":"a"},{"name":"b","baseline":"a"}"#).is_ok());
        assert!(error(r#"{"name":"a","mix":{"probability":0.5,"active":1}}"#).contains("no layers"));
        assert!(error(r#"{"name":"a","early_stopping":{"patience":0}}"#).contains("early_stopping.patience is 0"));
        Ok(())
    }

    #[test]
    fn tables_without_seeds_or_with_another_selection_are_refused() -> Result<(), TableError> {
        let no_seeds = r#"{"title":"t","task":"classify","seeds":[],"select":"last","runs":[]}"#;
        assert!(matches!(Table::parse(no_seeds), Err(TableError::NoSeeds)));
        let whole = no_seeds.replacen("[]", "[0]", 1);
        assert_eq!(Table::parse(&format!("\u{feff}{whole}\n")).unwrap(), Table::parse(&whole).unwrap());
        assert!(matches!(Table::parse(&format!("{whole}{whole}")), Err(TableError::More(_))));
        let stops = table(r#"{"name":"a","early_stopping":{"patience":1}},{"name":"b"}"#)?;
        assert_eq!((stops[0].selection(), stops[1].selection()), ("validation", "last"));
        let best = no_seeds.replacen("[]", "[0]", 1).replace("last", "best");
        assert!(Table::parse(&best).unwrap_err().to_string().contains("select is \"best\""));
        Ok(())
    }
}

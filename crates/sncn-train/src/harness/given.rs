//! What a user gives instead of a table, and the row that a task makes of it.

use crate::DataDir;
use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What a user gives instead of a table.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// A path, or the name of a data set.
    pub data: &'a str,
    /// The network.
    pub network: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// A file of weights.
    pub weights: Option<&'a str>,
    /// Passes over the data.
    pub epochs: Option<usize>,
    /// Where data sets are.
    pub data_dir: &'a DataDir,
    /// The keys that the user set, which replace those of the row.
    pub keys: &'a Map<String, Value>,
}

/// The row that stands for what a user gave.
#[derive(Debug)]
pub struct Row {
    /// Its keys.
    pub keys: Map<String, Value>,
    /// The folder of the data, where it is the user's own.
    pub data_dir: Option<PathBuf>,
    /// What was chosen, in sentences.
    pub said: Vec<String>,
    /// The arguments of `evaluate` once training has ended.
    pub evaluation: Vec<String>,
}

/// Whether what a user gave as data is a path rather than the name of a data set.
///
/// # Errors
/// If it is neither.
pub fn is_path(given: &str, known: &[&str]) -> Result<bool> {
    let exists = Path::new(given).exists();
    ensure!(
        exists || known.contains(&given),
        "--data {given}: no such file or folder, and no data set; known: {}",
        known.join(", ")
    );
    Ok(exists)
}

/// A method by its name: the keys that it adds to a row.
pub type Method = (&'static str, Value);

/// The methods that every task has. CrossNorm and SelfNorm are layers, MixStyle the keys of a row.
pub fn methods(crossnorm: &Value, selfnorm: &Value, mixstyle: Value) -> Vec<Method> {
    let mix = json!({"probability": 0.5, "active": 1});
    vec![
        ("baseline", json!({})),
        ("cn", json!({"layers": [crossnorm], "mix": mix})),
        ("sn", json!({"layers": [selfnorm]})),
        ("cnsn", json!({"layers": [crossnorm, selfnorm], "mix": mix})),
        ("mixstyle", mixstyle),
    ]
}

/// The keys of the method of that name.
///
/// # Errors
/// If the name is unknown; the known ones are listed.
pub fn method(name: &str, known: Vec<Method>) -> Result<Map<String, Value>> {
    let names = known.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
    match known.into_iter().find(|(known, _)| *known == name) {
        Some((_, Value::Object(keys))) => Ok(keys),
        _ if name == "list" => bail!("methods: {names}"),
        _ => bail!("--method {name}: unknown; known: {names}"),
    }
}

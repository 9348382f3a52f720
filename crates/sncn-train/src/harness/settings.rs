//! Reading the settings of a row that only its task knows, and refusing what the task would ignore.

use super::{Empty, Run};
use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Refuses a key of a row that the task has no use for.
///
/// # Errors
/// If it is set.
pub fn unused(key: &str, value: &Value, task: &sncn_record::Task) -> Result<()> {
    ensure!(
        matches!(value, Value::Null | Value::Bool(false)),
        "{key} is set; tables of task {:?} have no such settings: take it away",
        task.name
    );
    Ok(())
}

/// Refuses the key `data`: for tasks whose data sets have no parts that a run could name.
///
/// # Errors
/// If it is set.
pub fn no_parts(run: &Run<Empty>, task: &sncn_record::Task) -> Result<()> {
    unused("data", &run.data, task)
}

/// Refuses the key `weights`: for tasks that begin with weights in another way, or with none.
///
/// # Errors
/// If it is set.
pub fn no_weights(run: &Run<Empty>, task: &sncn_record::Task) -> Result<()> {
    ensure!(run.weights.is_none(), "weights is set; tables of task {:?} have no such setting: take it away", task.name);
    Ok(())
}

/// Refuses all settings of a task's own: for tasks that have none.
///
/// # Errors
/// If one is set.
pub fn none(run: &Run<Empty>, task: &sncn_record::Task) -> Result<()> {
    [("input", &run.input), ("augment", &run.augment), ("evaluate", &run.evaluate)]
        .into_iter()
        .try_for_each(|(key, value)| unused(key, value, task))?;
    no_parts(run, task)?;
    no_weights(run, task)
}

/// Reads the settings under a key; nothing where they are absent or `false`, and the usual ones, if the task has some, where
/// they are `true`.
///
/// # Errors
/// Names the key that does not fit.
pub fn optional<S: DeserializeOwned>(key: &str, value: &Value, usual: Option<S>) -> Result<Option<S>> {
    match (value, usual) {
        (Value::Null | Value::Bool(false), _) => Ok(None),
        (Value::Bool(true), Some(usual)) => Ok(Some(usual)),
        (Value::Bool(true), None) => bail!("{key} is true; settings are wanted, such as {{\"kind\": …}}"),
        (settings, _) => serde_path_to_error::deserialize(settings.clone()).map(Some).with_context(|| key.to_string()),
    }
}

//! `Start`: what is trained, a row of a table, or data, a network and a method, which become a table of one row.

use super::given::{Given, Row};
use super::run::Run;
use super::table::{Table, of_row};
use super::task::Task;
use crate::DataDir;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use sncn_record::TrainedBy;
use std::path::PathBuf;

/// What is trained.
#[derive(clap::Args, Clone, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["table", "data"])))]
pub struct Start {
    /// Table file, such as models/quick.json.
    #[arg(long, value_name = "FILE", requires = "row")]
    table: Option<PathBuf>,
    /// Name of a row of the table.
    #[arg(long, value_name = "NAME", requires = "table")]
    row: Option<String>,
    /// Train without a table: your own data, or the name of a data set.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["table", "row"])]
    data: Option<String>,
    /// With --data: the network (default: one that fits).
    #[arg(long, value_name = "NAME", requires = "data")]
    network: Option<String>,
    /// With --data: the method; `list` names them.
    #[arg(long, value_name = "NAME", requires = "data", default_value = "cnsn")]
    method: String,
    /// With --data: the weights to begin with; of texts, a folder.
    #[arg(long, value_name = "FILE", requires = "data")]
    weights: Option<String>,
    /// With --data: passes over it; 0 tests --weights as they are.
    #[arg(long, value_name = "N", requires = "data")]
    epochs: Option<u64>,
    /// Another value of a key of the row: lr=0.1, optimizer.momentum=0.8.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Seed of weights, order, augmentation and mixing.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

/// What is trained, read.
pub(super) struct Started<T: Task> {
    /// The run.
    pub(super) run: Run<T::Settings>,
    /// Where its data is.
    pub(super) data_dir: DataDir,
    /// The text of the table that stands for it, where that was made here.
    pub(super) table: Option<String>,
    /// What was chosen.
    pub(super) said: Vec<String>,
    /// The arguments of `evaluate` once training has ended; nothing for a row of a table.
    pub(super) evaluation: Option<Vec<String>>,
}

impl Start {
    /// Reads the row, or makes one.
    ///
    /// # Errors
    /// Names the key or option that does not fit, and what is accepted.
    pub(super) fn read<T: Task>(&self, data_dir: DataDir) -> Result<Started<T>> {
        let overrides = self.set.iter().map(|set| parse(set)).collect::<Result<Vec<_>>>()?;
        if let (Some(path), Some(name)) = (&self.table, &self.row) {
            let table = Table::<T>::read(path)?;
            let at = || path.display().to_string();
            let run = table.row(name).cloned().with_context(at)?;
            if let Some(TrainedBy { table, row }) = &run.trained {
                let of = table.as_ref().map_or(String::new(), |table| format!(" of the table {table}"));
                bail!("{}: row {name:?} trains nothing: it tests the network of row {row:?}{of}; train that", at())
            }
            if overrides.is_empty() {
                return Ok(Started { run, data_dir, table: None, said: Vec::new(), evaluation: None });
            }
            let keys = table.file.rows().find(|keys| keys.get("name").and_then(Value::as_str) == Some(name)).with_context(at)?;
            let (run, text) = self.changed::<T>(keys, overrides, table.file.title)?;
            return Ok(Started { run, data_dir, table: Some(text), said: Vec::new(), evaluation: None });
        }
        let data = self.data.as_deref().context("give --table and --row, or --data")?;
        let epochs = self.epochs.map(|epochs| epochs as usize);
        let (network, method, weights) = (self.network.as_deref(), self.method.as_str(), self.weights.as_deref());
        let mut changed = Map::new();
        overrides.iter().try_for_each(|(path, value)| set(&mut changed, path, value.clone()))?;
        let Row { keys, data_dir: own, said, evaluation } =
            T::row(&Given { data, network, method, weights, epochs, data_dir: &data_dir, keys: &changed })?;
        let title = format!("{} on {data}", self.method);
        let (run, text) = self.changed::<T>(keys, overrides, title)?;
        let data_dir = own.map_or(data_dir, |path| DataDir { path: Some(path) });
        Ok(Started { run, data_dir, table: Some(text), said, evaluation: Some(evaluation) })
    }

    /// The row with the values of `--set`, and the text of a table of it alone.
    fn changed<T: Task>(
        &self,
        mut keys: Map<String, Value>,
        overrides: Vec<(Vec<String>, Value)>,
        title: String,
    ) -> Result<(Run<T::Settings>, String)> {
        for (path, value) in overrides {
            set(&mut keys, &path, value).with_context(|| format!("--set {}", path.join(".")))?;
        }
        // remarks that belong to the row's place in its table
        ["baseline", "published", "note"].iter().for_each(|key| drop(keys.remove(*key)));
        let run = of_row::<T>(sncn_record::Run::read(keys.clone())?)?;
        let table =
            json!({"title": title, "task": T::INFO.name, "seeds": [self.seed], "select": run.selection(), "runs": [keys]});
        Ok((run, format!("{}\n", serde_json::to_string_pretty(&table)?)))
    }
}

/// The keys and the value of `key.key=value`; a value that is not JSON is text.
fn parse(text: &str) -> Result<(Vec<String>, Value)> {
    let (keys, value) = text.split_once('=').with_context(|| format!("--set {text}: KEY=VALUE is expected, such as epochs=5"))?;
    let keys: Vec<String> = keys.trim().split('.').map(str::to_string).collect();
    ensure!(
        keys.iter().all(|key| !key.is_empty()),
        "--set {text}: a key is empty; KEY=VALUE is expected, such as optimizer.lr=0.1"
    );
    let value = value.trim();
    Ok((keys, serde_json::from_str(value).unwrap_or_else(|_| Value::from(value))))
}

/// Sets the value at the path of keys; `null` takes a key away.
fn set(keys: &mut Map<String, Value>, path: &[String], value: Value) -> Result<()> {
    match path {
        [] => bail!("no key"),
        [last] if value.is_null() => drop(keys.remove(last)),
        [last] => drop(keys.insert(last.clone(), value)),
        // settings that have a name are changed from it
        [first, rest @ ..] if first == "input" && keys.get(first).is_some_and(Value::is_string) => {
            let mut inside = Map::from_iter([("like".to_string(), keys.get(first).cloned().unwrap_or_default())]);
            set(&mut inside, rest, value)?;
            drop(keys.insert(first.clone(), Value::Object(inside)));
        }
        [first, rest @ ..] => match keys.entry(first.clone()).or_insert_with(|| json!({})) {
            Value::Object(inside) => set(inside, rest, value)?,
            other => bail!("{first} is {other}, which has no keys; set it as a whole"),
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_text_and_are_set_where_the_keys_lead() -> Result<()> {
        let mut keys = Map::new();
        for text in
            ["epochs=5", "backbone=resnet18", "optimizer.kind=sgd", "optimizer.momentum = 0.5", "layers=[]", "augment=true"]
        {
            let (path, value) = parse(text)?;
            set(&mut keys, &path, value)?;
        }
        let expected = json!({"epochs": 5, "backbone": "resnet18", "optimizer": {"kind": "sgd", "momentum": 0.5}, "layers": [], "augment": true});
        assert_eq!(Value::Object(keys.clone()), expected);
        set(&mut keys, &["input".to_string()], Value::from("cifar"))?;
        set(&mut keys, &["input".to_string(), "size".to_string()], Value::from(64))?;
        assert_eq!(keys.remove("input"), Some(json!({"like": "cifar", "size": 64})));
        let (path, value) = parse("augment=null")?;
        set(&mut keys, &path, value)?;
        assert!(!keys.contains_key("augment"));
        assert!(
            set(&mut keys, &["epochs".to_string(), "x".to_string()], Value::from(1))
                .unwrap_err()
                .to_string()
                .contains("set it as a whole")
        );
        assert!(parse("epochs").unwrap_err().to_string().contains("KEY=VALUE") && parse(".x=1").is_err());
        Ok(())
    }
}

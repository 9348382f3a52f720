//! `Table` and `Run`: a table file resolved into fully specified runs.
//!
//! A run's keys replace the defaults' keys; there is no other inheritance. Everything that changes a number is in the
//! resolved run, which is written into every checkpoint and every results file.

use crate::layer::LayerConfig;
use crate::objective::{MixConfig, Objective};
use crate::optim::{Optimizer, OptimizerConfig};
use crate::schedule::ScheduleConfig;
use crate::train::Recipe;
use crate::{Network, Seed, Vars};
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// One cell of a table without its seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name of the row.
    pub name: String,
    /// Training set.
    pub train: String,
    /// Named test sets; `<set>-c` is its 15 corruptions × 5 severities.
    pub test: Vec<String>,
    /// Network.
    pub backbone: String,
    /// Passes over the training set.
    pub epochs: usize,
    /// Examples a step.
    pub batch_size: usize,
    /// Base learning rate.
    pub lr: f64,
    /// Optimiser.
    pub optimizer: OptimizerConfig,
    /// Course of the learning rate.
    pub schedule: ScheduleConfig,
    /// Loss.
    pub objective: Objective,
    /// When CrossNorm acts; absent: never.
    #[serde(default)]
    pub mix: Option<MixConfig>,
    /// Layers on the backbone.
    #[serde(default)]
    pub layers: Vec<LayerConfig>,
    /// How examples become what the network is given: settings of the task's own, absent for its usual way.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// How training examples are augmented: settings of the task's own kinds, `true` for its usual one (random crop and
    /// flip of images), absent or `false` for none.
    #[serde(default = "nothing")]
    pub augment: Value,
    /// The largest norm of all gradients together; absent: they are not clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// When training ends early; absent: after all epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping: Option<Stopping>,
    /// Factors of the learning rate by the beginning of a variable's name, such as `{"classifier.": 10}`; 1 for the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lr_factors: BTreeMap<String, f64>,
    /// How test sets are evaluated: settings of the task's own, absent for its usual way.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evaluate: Value,
    /// Only the first examples of the training set.
    #[serde(default)]
    pub train_limit: Option<usize>,
    /// Only the first examples of each test set.
    #[serde(default)]
    pub test_limit: Option<usize>,
    /// Published numbers that this row should meet, by set and metric.
    #[serde(default)]
    pub published: BTreeMap<String, f64>,
    /// The row that this one is compared with; absent: the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// A remark.
    #[serde(default)]
    pub note: String,
}

/// Early stopping: the network is scored on the held-out part of the training set after every epoch, and the best is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stopping {
    /// Epochs without a better score after which training ends.
    pub patience: usize,
}

/// No augmentation.
fn nothing() -> Value {
    Value::Bool(false)
}

impl Run {
    /// The run as checkpoints and results hold it: without the keys that change no number.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn resolved(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self)?;
        if let Some(keys) = value.as_object_mut() {
            // remarks: a checkpoint outlives their rewording
            ["note", "published", "baseline"].iter().for_each(|key| drop(keys.shift_remove(*key)));
        }
        Ok(value)
    }

    /// Which checkpoint is evaluated.
    pub fn selection(&self) -> &'static str {
        if self.stopping.is_some() { "held" } else { "last" }
    }

    /// The recipe of this run with that seed.
    pub fn recipe(&self, seed: u64) -> Recipe {
        Recipe {
            batch_size: self.batch_size,
            epochs: self.epochs,
            lr: self.lr,
            schedule: self.schedule.clone(),
            objective: self.objective,
            mix: self.mix,
            seed: Seed::new(seed),
            augment: !matches!(self.augment, Value::Null | Value::Bool(false)),
        }
    }

    /// The optimiser of this run over these variables.
    ///
    /// # Errors
    /// Where a setting is out of range, or a factor of the learning rate is of no variable.
    pub fn optimizer(&self, vars: &Vars) -> Result<Optimizer> {
        let trainable = vars.trainable();
        for prefix in self.lr_factors.keys() {
            ensure!(
                trainable.iter().any(|(name, _)| name.starts_with(prefix)),
                "run {:?}: lr_factors: no variable of {} begins with {prefix:?}; the first is {:?}",
                self.name,
                self.backbone,
                trainable.first().map(|(name, _)| name.as_str()).unwrap_or_default()
            );
        }
        let factor = |name: &str| self.lr_factors.iter().find(|(prefix, _)| name.starts_with(*prefix)).map_or(1., |(_, f)| *f);
        Ok(Optimizer::new(self.optimizer.clone(), trainable)?.with_factors(factor).with_clip(self.clip))
    }

    /// Refuses mixing where the network has no layer that mixes.
    ///
    /// # Errors
    /// Says what to add or take away.
    pub fn check_mixing(&self, network: &dyn Network) -> Result<()> {
        ensure!(
            self.mix.is_none() || network.sites() > 0,
            "run {:?}: mix is set, but none of its layers mixes (crossnorm and mixstyle do): add one, or take mix away",
            self.name
        );
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(self.epochs > 0, "epochs is 0; at least 1 is accepted");
        ensure!(self.batch_size > 0, "batch_size is 0; at least 1 is accepted");
        ensure!(self.lr.is_finite() && self.lr > 0., "lr is {}; a positive number is accepted", self.lr);
        if let Some(clip) = self.clip {
            ensure!(clip.is_finite() && clip > 0., "clip is {clip}; a positive number is accepted");
        }
        ensure!(self.stopping != Some(Stopping { patience: 0 }), "stopping.patience is 0; at least 1 is accepted");
        if let ScheduleConfig::WarmupLinear { warmup } = self.schedule {
            ensure!((0. ..=1.).contains(&warmup), "schedule.warmup is {warmup}; 0 to 1 is accepted");
        }
        ensure!(!self.test.is_empty(), "test is empty; at least one test set is wanted");
        ensure!(self.train_limit != Some(0) && self.test_limit != Some(0), "a limit is 0; at least 1 is accepted");
        for (prefix, factor) in &self.lr_factors {
            ensure!(factor.is_finite() && *factor > 0., "lr_factors: {prefix:?} has {factor}; a positive number is accepted");
        }
        if let Some(mix) = self.mix {
            ensure!((0. ..=1.).contains(&mix.probability), "mix.probability is {}; 0 to 1 is accepted", mix.probability);
            ensure!(!self.layers.is_empty(), "mix is set, but the run has no layers that could act");
        }
        ensure!(
            self.mix.is_some()
                || !matches!(self.objective, Objective::Consistency { .. } | Objective::Augmix { consistency: Some(_), .. }),
            "the objective asks for consistency of mixed passes, but mix is not set"
        );
        self.objective.check()?;
        Ok(())
    }
}

/// The tasks with the programs that take their tables.
pub const TASKS: [(&str, &str); 3] =
    [("classify", "sncn-classify"), ("segment", "sncn-segment"), ("sentiment", "sncn-sentiment")];

/// A table file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Heading of the report.
    pub title: String,
    /// Where the published numbers come from.
    #[serde(default)]
    pub paper: String,
    /// One of [`TASKS`].
    pub task: String,
    /// Seeds of every row.
    pub seeds: Vec<u64>,
    /// Which checkpoint is evaluated: `last`, or `held`, the best on the held-out part of the training set (every run has `stopping`).
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

impl Table {
    /// Reads a table file.
    ///
    /// # Errors
    /// Names the file and the key that does not fit.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}: the table cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads a table file of that task.
    ///
    /// # Errors
    /// Names the file and the key that does not fit, or the program that takes the table.
    pub fn read_for(path: &Path, task: &str) -> Result<Self> {
        let table = Self::read(path)?;
        if table.task != task {
            let program = TASKS.iter().find(|(known, _)| *known == table.task).map(|(_, program)| *program);
            let advice = program.map_or_else(String::new, |program| format!("; {program} takes this table"));
            bail!("{}: task is {:?}; {task:?} is accepted{advice}", path.display(), table.task)
        }
        Ok(table)
    }

    /// Reads the text of a table file.
    ///
    /// # Errors
    /// Names the key that does not fit.
    pub fn parse(text: &str) -> Result<Self> {
        let table: Self = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(text))?;
        ensure!(
            ["last", "held"].contains(&table.select.as_str()),
            "select is {:?}; \"last\" and \"held\" are accepted",
            table.select
        );
        ensure!(!table.seeds.is_empty(), "seeds is empty; at least one seed is wanted");
        for run in table.resolve()? {
            ensure!(
                run.selection() == table.select,
                "run {:?}: stopping goes with select \"held\", and select is {:?}: set both or neither",
                run.name,
                table.select
            );
        }
        Ok(table)
    }

    /// Every row, fully specified.
    ///
    /// # Errors
    /// Names the row and the key that does not fit.
    pub fn resolve(&self) -> Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        for keys in &self.runs {
            let mut map = self.defaults.clone();
            map.extend(keys.clone());
            let name = map.get("name").and_then(Value::as_str).unwrap_or("without a name").to_string();
            let run: Run = serde_path_to_error::deserialize(Value::Object(map)).with_context(|| format!("run {name:?}"))?;
            run.check().with_context(|| format!("run {name:?}"))?;
            ensure!(runs.iter().all(|other| other.name != run.name), "run {name:?} stands twice");
            runs.push(run);
        }
        for baseline in self.baseline.iter().chain(runs.iter().filter_map(|run| run.baseline.as_ref())) {
            ensure!(runs.iter().any(|run| run.name == *baseline), "baseline {baseline:?} is no run of this table");
        }
        Ok(runs)
    }

    /// The row of that name.
    ///
    /// # Errors
    /// Lists the known rows.
    pub fn row(&self, name: &str) -> Result<Run> {
        let runs = self.resolve()?;
        match runs.iter().find(|run| run.name == name) {
            Some(run) => Ok(run.clone()),
            None => {
                let known: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
                bail!("no row {name:?}; known: {}", known.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(runs: &str) -> Result<Vec<Run>> {
        let text = format!(
            r#"{{"title":"t","task":"classify","seeds":[0],"select":"last","defaults":{{"train":"shapes","test":["shapes"],
            "backbone":"wrn10_1","epochs":1,"batch_size":8,"lr":0.1,"optimizer":{{"kind":"sgd","momentum":0.9,"nesterov":true,
            "weight_decay":0.0005}},"schedule":{{"kind":"constant"}},"objective":{{"kind":"plain"}}}},"runs":[{runs}]}}"#
        );
        serde_json::from_str::<Table>(&text)?.resolve()
    }

    #[test]
    fn a_run_replaces_defaults_and_unknown_keys_are_named() -> Result<()> {
        let runs = table(r#"{"name":"a"},{"name":"b","epochs":3}"#)?;
        assert_eq!((runs[0].epochs, runs[1].epochs), (1, 3));
        let error = |runs| format!("{:#}", table(runs).unwrap_err());
        assert!(error(r#"{"name":"a","epoch":3}"#).contains("epoch"));
        assert!(error(r#"{"name":"a","epochs":0}"#).contains("epochs is 0"));
        assert!(error(r#"{"name":"a"},{"name":"a"}"#).contains("twice"));
        assert!(error(r#"{"name":"a","baseline":"b"}"#).contains("baseline \"b\" is no run"));
        assert!(error(r#"{"name":"a","mix":{"probability":0.5,"active":1}}"#).contains("no layers"));
        assert!(error(r#"{"name":"a","objective":{"kind":"consistency","weight":10}}"#).contains("mix is not set"));
        assert!(error(r#"{"name":"a","objective":{"kind":"mixup","alpha":0}}"#).contains("objective.alpha is 0"));
        let no_seeds = r#"{"title":"t","task":"classify","seeds":[],"select":"last","runs":[]}"#;
        assert!(Table::parse(no_seeds).unwrap_err().to_string().contains("seeds is empty"));
        assert!(error(r#"{"name":"a","stopping":{"patience":0}}"#).contains("stopping.patience is 0"));
        let stops = table(r#"{"name":"a","stopping":{"patience":1}}"#)?;
        assert_eq!((stops[0].selection(), runs[0].selection()), ("held", "last"));
        let held = no_seeds.replacen("[]", "[0]", 1).replace("last", "held");
        assert!(Table::parse(&held.replace("held", "best")).unwrap_err().to_string().contains("select is \"best\""));
        Ok(())
    }
}

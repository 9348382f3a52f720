//! `Run`: one row of a table, fully specified but for the seed.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The keys of a run that change no number: remarks about it. Checkpoints outlive their rewording.
pub const REMARKS: [&str; 3] = ["note", "published", "baseline"];

/// The keys of a run that say how a trained network is tested. All others but the name and the remarks say how it is trained.
pub const EVALUATION: [&str; 6] = ["test", "test_limit", "evaluate", "adapt", "temperature", "trained"];

/// The first key in which two resolved runs train differently, if any: what names, remarks and [`EVALUATION`] say does not count.
pub fn trained_differently<'a>(one: &'a Value, other: &'a Value) -> Option<&'a str> {
    let counts = |key: &str| key != "name" && !REMARKS.contains(&key) && !EVALUATION.contains(&key);
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return Some("run") };
    one.keys().chain(other.keys()).map(String::as_str).find(|key| counts(key) && one.get(*key) != other.get(*key))
}

/// One row of a table, without a seed: everything that changes a number.
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
    /// Passes over the training set; 0 tests [`weights`](Self::weights) as they are.
    pub epochs: usize,
    /// Examples a batch.
    pub batch_size: usize,
    /// Base learning rate.
    pub lr: f64,
    /// Settings of the optimiser, `{"kind": …}`.
    pub optimizer: Value,
    /// Settings of the learning-rate schedule, `{"kind": …}`.
    pub schedule: Value,
    /// Settings of the loss, `{"kind": …}`.
    pub objective: Value,
    /// When CrossNorm acts, `{"probability": …, "active": …}`; absent: never.
    #[serde(default)]
    pub mix: Option<Value>,
    /// Layers on the backbone, each `{"kind": …, "at": …}` with settings of its own.
    #[serde(default)]
    pub layers: Vec<Value>,
    /// The layer in the place of the backbone's norms, `{"kind": …}` with settings of its own; absent: the usual ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub norm: Option<Value>,
    /// How examples become what the network is given: settings of the task's own, absent for its usual way.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub input: Value,
    /// Which parts of the training data are for what: settings of the task's own, absent for its usual way.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
    /// The file of weights that training begins with; below the data folder where the path is relative and there is no such file here.
    /// Absent: random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// How training examples are augmented: settings of the task's own kinds, `true` for its usual one (random crop and
    /// flip of images), absent or `false` for none.
    #[serde(default = "nothing")]
    pub augment: Value,
    /// How much of every example's weight is spread over all classes in cross-entropies, from 0 to 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    /// Batches whose mean gradient makes a step.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// How weights are averaged over the steps; absent: they are not. The averaged ones are evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<Ema>,
    /// The largest norm of all gradients together; absent: they are not clipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Parts of names of variables that weight decay leaves alone, such as `bias`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub no_decay: Vec<String>,
    /// How many training examples keep their labels, the same number of every class; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
    /// Steps of an epoch, for which examples come again as often as that takes; absent: an epoch meets every example once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps_per_epoch: Option<usize>,
    /// When training ends early; absent: after all epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Factors of the learning rate by the beginning of a variable's name, such as `{"classifier.": 10}`; 1 for the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lr_factors: BTreeMap<String, f64>,
    /// How test sets are evaluated: settings of the task's own, absent for its usual way.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub evaluate: Value,
    /// How the network adapts to test examples, `{"kind": …}`; absent: not at all.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub adapt: Value,
    /// Whether a temperature is fitted on the validation set, and calibration measured with it too.
    #[serde(default, skip_serializing_if = "is_false")]
    pub temperature: bool,
    /// The row whose trained network is tested; absent: this row trains its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained: Option<TrainedBy>,
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

/// Early stopping: the network is scored on the validation set after every epoch, and the weights of the best epoch are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a better score after which training ends.
    pub patience: usize,
}

/// Weights averaged over the steps of training: average ← decay · average + (1 − decay) · weight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// The share of the average that a step keeps, between 0 and 1.
    pub decay: f64,
}

/// The row that trains a network which other rows test in their own ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainedBy {
    /// The table of the row, a file beside this one: its name, with or without `.json`; absent: this table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The row.
    pub row: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &f64) -> bool {
    *value == 0.
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

/// No augmentation.
fn nothing() -> Value {
    Value::Bool(false)
}

/// Why a run was refused.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A key is unknown or missing, or its value is of another type; the message begins with the key's path.
    #[error(transparent)]
    Key(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// A value is outside its range, or does not go with another; the message names both and what is accepted.
    #[error("{0}")]
    Setting(String),
}

/// A run with its seed, as checkpoints hold it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SeededRun {
    /// The resolved run.
    #[serde(deserialize_with = "read_current")]
    pub run: Value,
    /// The seed.
    pub seed: u64,
}

/// A run with its row and seed: a line of what the `plan` commands print.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Name of the row.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// The resolved run.
    pub run: Value,
}

/// Fails with the message unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($message:tt)*) => {
        if !$holds {
            return Err(RunError::Setting(format!($($message)*)));
        }
    };
}

impl Run {
    /// Reads a run from the keys of a row, or from a checkpoint or results file, and checks what needs no network.
    ///
    /// # Errors
    /// Names the key that does not fit, and what is accepted.
    pub fn read(keys: Map<String, Value>) -> Result<Self, RunError> {
        let run: Self = serde_path_to_error::deserialize(Value::Object(keys))?;
        run.check()?;
        Ok(run)
    }

    /// Which checkpoint is evaluated.
    pub fn selection(&self) -> &'static str {
        if self.early_stopping.is_some() { "validation" } else { "last" }
    }

    /// Refuses numbers out of range and settings that do not go together.
    fn check(&self) -> Result<(), RunError> {
        ensure!(
            self.epochs > 0 || self.weights.is_some(),
            "epochs is 0; at least 1 is accepted, or 0 with the key weights, to test these as they are"
        );
        ensure!(self.batch_size > 0, "batch_size is 0; at least 1 is accepted");
        ensure!(self.lr.is_finite() && self.lr > 0., "lr is {}; a positive number is accepted", self.lr);
        let smoothing = self.label_smoothing;
        ensure!((0. ..=1.).contains(&smoothing), "label_smoothing is {smoothing}; 0 to 1 is accepted");
        ensure!(self.accumulate > 0, "accumulate is 0; at least 1 is accepted");
        ensure!(self.labels != Some(0), "labels is 0; at least one of every class is accepted");
        ensure!(self.steps_per_epoch != Some(0), "steps_per_epoch is 0; at least 1 is accepted");
        if let Some(Ema { decay }) = self.ema {
            ensure!(decay > 0. && decay < 1., "ema.decay is {decay}; more than 0 and less than 1 is accepted");
        }
        if let Some(clip) = self.clip {
            ensure!(clip.is_finite() && clip > 0., "clip is {clip}; a positive number is accepted");
        }
        ensure!(
            self.early_stopping != Some(EarlyStopping { patience: 0 }),
            "early_stopping.patience is 0; at least 1 is accepted"
        );
        ensure!(!self.test.is_empty(), "test is empty; at least one test set is wanted");
        ensure!(self.train_limit != Some(0) && self.test_limit != Some(0), "a limit is 0; at least 1 is accepted");
        for (prefix, factor) in &self.lr_factors {
            ensure!(factor.is_finite() && *factor > 0., "lr_factors: {prefix:?} has {factor}; a positive number is accepted");
        }
        ensure!(self.mix.is_none() || !self.layers.is_empty(), "mix is set, but the run has no layers that could act");
        Ok(())
    }
}

/// Keys of a run that had other names in files of earlier versions: old and new.
const RENAMED: [(&str, &str); 1] = [("stopping", "early_stopping")];

/// A run as files of earlier versions hold it, with today's names of its keys.
pub fn with_current_names(run: Value) -> Value {
    let Value::Object(keys) = run else { return run };
    let current = |key: String| RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| new.to_string());
    Value::Object(keys.into_iter().map(|(key, value)| (current(key), value)).collect())
}

/// Reads the run in a file's header.
///
/// # Errors
/// If it is not JSON.
pub(crate) fn read_current<'de, D: Deserializer<'de>>(run: D) -> Result<Value, D::Error> {
    Value::deserialize(run).map(with_current_names)
}

/// A run without the keys that change no number.
pub fn without_remarks(mut run: Value) -> Value {
    if let Some(keys) = run.as_object_mut() {
        REMARKS.iter().for_each(|key| drop(keys.shift_remove(*key)));
    }
    run
}

//! The card of a model that comes with the project: `models/zoo/<name>` has the weights of one and its card.

use serde::{Deserialize, Serialize};

/// Where the models are, below the folder of the project.
pub const FOLDER: &str = "models/zoo";
/// The weights of one, a checkpoint without optimiser state.
pub const WEIGHTS: &str = "model.safetensors";
/// Its card.
pub const CARD: &str = "card.json";

/// What is known of a model: on what it was trained, how it did, and where it should not be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The name of the [`Task`](crate::Task) that it is for.
    pub task: String,
    /// What it is, in a sentence.
    pub about: String,
    /// The data set that it was trained on.
    pub data: String,
    /// What its results were measured on, as `robustness` names it; a name with `/` is a folder below that of the data sets.
    pub test: String,
    /// The table, row and seed that made it.
    pub row: String,
    /// The SHA-256 of its weights, as the header of a checkpoint has it.
    pub sha256: String,
    /// What was measured of it, sets as a whole and means over their shifts.
    pub results: Vec<Number>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// What it is not for.
    pub limits: String,
    /// Its licence.
    pub licence: String,
}

/// One number of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Number {
    /// The test set; of a shifted one the mean over its parts.
    pub set: String,
    /// The metric.
    pub metric: String,
    /// Its value, a fraction.
    pub value: f64,
    /// The number of examples, of a shifted set in each part.
    pub n: usize,
}

impl Card {
    /// The number of a set and a metric, if it was measured.
    pub fn number(&self, set: &str, metric: &str) -> Option<&Number> {
        self.results.iter().find(|one| one.set == set && one.metric == metric)
    }
}

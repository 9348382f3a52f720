//! The header of a checkpoint: a JSON document in the metadata of a safetensors file.

use crate::provenance::Build;
use crate::run::SeededRun;
use serde::{Deserialize, Serialize};

/// The metadata key of the document.
pub const KEY: &str = "sncn";
/// The layout that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The header of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this layout, [`FORMAT`].
    pub format: u32,
    /// The name of the [`Task`](crate::Task) that the run belongs to; empty in checkpoints of before it was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task: String,
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub total: usize,
    /// What was trained.
    pub run: SeededRun,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Scores on the validation set so far, where the run has early stopping.
    #[serde(default, alias = "held", skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<Validation>,
    /// What the epochs so far were like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub epochs: Vec<Epoch>,
    /// What training has told of the epoch so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Told>,
    /// The source that the program which trained was built from.
    #[serde(default, skip_serializing_if = "Build::is_unknown")]
    pub built: Build,
    /// SHA-256 over names, shapes and bytes of all tensors.
    pub sha256: String,
}

/// A score on the validation set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps done.
    pub step: usize,
    /// The higher, the better.
    pub score: f64,
}

/// An epoch of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Steps done at its end.
    pub step: usize,
    /// What training told of it.
    pub told: Vec<Told>,
}

/// The name under which training tells the loss, a mean over steps.
pub const LOSS: &str = "loss";

/// Something that training tells: the loss, and what its objective tells besides, as a sum and what it is divided by, so that steps add up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What it is, such as `pseudo_labels`.
    pub name: String,
    /// The sum.
    pub sum: f64,
    /// The number of examples that it is taken over; of the loss, of steps.
    pub count: f64,
}

impl Told {
    /// The mean; `None` over no examples.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0.).then(|| self.sum / self.count)
    }

    /// Adds what a step told to what was told before.
    pub fn add(all: &mut Vec<Self>, more: &[Self]) {
        for one in more {
            match all.iter_mut().find(|known| known.name == one.name) {
                Some(known) => (known.sum, known.count) = (known.sum + one.sum, known.count + one.count),
                None => all.push(one.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_written_to_the_same_bytes() -> serde_json::Result<()> {
        let text =
            r#"{"format":1,"step":2,"total":4,"run":{"run":{"name":"a","lr":0.1},"seed":3},"classes":["cat"],"sha256":"00"}"#;
        let header: Header = serde_json::from_str(text)?;
        assert_eq!((header.run.seed, header.validation.len()), (3, 0));
        assert_eq!(serde_json::to_string(&header)?, text);
        let old = r#"{"format":1,"step":2,"total":4,"run":{"run":{"stopping":{"patience":2}},"seed":3},"classes":[],
            "held":[{"step":2,"score":0.5}],"sha256":"00"}"#;
        let header: Header = serde_json::from_str(old)?;
        assert_eq!(header.validation, [Validation { step: 2, score: 0.5 }]);
        assert_eq!(header.run.run, serde_json::json!({"early_stopping": {"patience": 2}}));
        Ok(())
    }
}

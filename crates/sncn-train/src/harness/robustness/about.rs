//! `About`: what is told of a measurement beside its numbers.

use crate::harness::provenance;
use crate::harness::record::Recorder;
use serde_json::{Value, json};
use sncn_record::Task;
use sncn_record::results::{self, Header};

/// What was measured of whom under which protocol.
pub struct About {
    /// The task.
    pub task: &'static Task,
    /// The name of the model, or of the file of predictions.
    pub name: String,
    /// What is known of the model; null of another program's.
    pub model: Value,
    /// What was measured, as far as it decides whether two results may be compared.
    pub protocol: Value,
    /// The seed of the shifts.
    pub seed: u64,
    /// The classes, in label order.
    pub classes: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl About {
    /// A recorder of what is measured.
    pub fn recorder(&self) -> Recorder {
        let mut run = json!({"protocol": self.protocol});
        if !self.model.is_null() {
            run["model"] = self.model.clone();
        }
        Recorder::new(Header {
            format: results::FORMAT,
            table: String::new(),
            row: self.name.clone(),
            seed: self.seed,
            run,
            built: provenance::built(),
            trained: Default::default(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            machine: provenance::machine(),
            selection: String::new(),
            notes: self.notes.clone(),
            classes: self.classes.clone(),
        })
    }
}

//! `Protocol`: what was measured, as far as it decides whether two results may be compared.

use super::super::corrupt::Manifest;
use crate::examples::Corrupt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sncn_train::harness::cli::Severities;
use sncn_train::harness::robustness::Shifts;

/// What was measured on which images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Protocol {
    /// The name of the data set, or of the folder.
    pub(super) data: String,
    /// Its images.
    pub(super) images: usize,
    /// SHA-256 over the pixels and classes of the images.
    pub(super) sha256: String,
    /// Whether images are corrupted before or after they are brought to the size of the model's input.
    pub(super) corrupt: Corrupt,
    /// The corruptions, in order.
    pub(super) corruptions: Vec<String>,
    /// The severities, in order.
    pub(super) severities: Vec<usize>,
    /// Which table of severities was asked for.
    pub(super) severity_table: String,
    /// Where frost came from.
    pub(super) frost: String,
    /// The seed of the corruptions.
    pub(super) seed: u64,
    /// How images become inputs; what other programs do is not known.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) input: Value,
}

impl Protocol {
    /// That of copies which `corrupt` wrote.
    pub(super) fn of_copies(manifest: &Manifest) -> Self {
        let Manifest { input, images, sha256, corruptions, severities, severity_table, frost, seed, .. } = manifest.clone();
        let (corrupt, data) = (Corrupt::Original, input);
        Self { data, images, sha256, corrupt, corruptions, severities, severity_table, frost, seed, input: Value::Null }
    }

    /// The shifts.
    pub(super) fn shifts(&self) -> Shifts<'_> {
        Shifts { names: &self.corruptions, severities: &self.severities, examples: self.images }
    }

    /// It in words, for a reader of the numbers.
    pub(super) fn notes(&self, who: &str) -> Vec<String> {
        let frost = self.corruptions.iter().any(|name| name == "frost").then(|| format!(", frost of {}", self.frost));
        let size = match self.corrupt {
            Corrupt::Original => "their own size",
            Corrupt::Fitted => "the size of the model's input",
        };
        let about = format!(
            "{who} on {} images of {}: {} corruptions × severities {:?} ({} table{}, seed {}), corrupted at {size}",
            self.images,
            self.data,
            self.corruptions.len(),
            self.severities,
            self.severity_table,
            frost.unwrap_or_default(),
            self.seed
        );
        std::iter::once(about).chain(Severities::note(&self.severities)).collect()
    }
}

//! Models that come with the project: `models/zoo/<name>` has the weights of one, as a checkpoint without optimiser state, and its card.

use crate::checkpoint::Checkpoint;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where the models are, below the folder of the project.
const FOLDER: &str = "models/zoo";
/// The weights of one.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Its card.
pub(super) const CARD: &str = "card.json";

/// What is known of a model: on what it was trained, how it did, and where it should not be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Card {
    /// What it is, in a sentence.
    pub(super) about: String,
    /// The data set that it was trained on.
    pub(super) data: String,
    /// What its results were measured on, as `robustness` names it; a name with `/` is a folder below that of the data sets.
    pub(super) test: String,
    /// The table, row and seed that made it.
    pub(super) row: String,
    /// The SHA-256 of its weights, as the header of a checkpoint has it.
    pub(super) sha256: String,
    /// What was measured of it, sets as a whole and means over their shifts.
    pub(super) results: Vec<Measured>,
    /// What a reader of the numbers should know.
    pub(super) notes: Vec<String>,
    /// What it is not for.
    pub(super) limits: String,
    /// Its licence.
    pub(super) licence: String,
}

/// One number of a card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// The test set; of a shifted one the mean over its parts.
    pub(super) set: String,
    /// The metric.
    pub(super) metric: String,
    /// Its value, a fraction.
    pub(super) value: f64,
    /// The number of examples, of a shifted set in each part.
    pub(super) n: usize,
}

/// The folder of a model, looked for from the current folder upwards.
fn folder(name: &str) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(FOLDER).join(name)).find(|folder| folder.join(WEIGHTS).is_file())
}

/// The names of the models that can be found from the current folder.
fn names() -> Vec<String> {
    let here = std::env::current_dir().unwrap_or_default();
    let entries = here.ancestors().filter_map(|folder| std::fs::read_dir(folder.join(FOLDER)).ok()).flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The checkpoint that a path or a name stands for: of a name the weights of that model, whose card must be theirs.
///
/// # Errors
/// If there is neither such a file nor such a model; or either is damaged, or the card that of other weights.
pub(super) fn checkpoint(given: &Path) -> Result<Checkpoint> {
    let name = given.to_str().filter(|name| !given.exists() && !name.contains(['/', '\\', '.']));
    let Some(name) = name else { return Ok(Checkpoint::read(given)?) };
    let Some(folder) = folder(name) else {
        let known = names();
        let known = if known.is_empty() {
            format!("no {FOLDER} is above the current folder")
        } else {
            format!("known: {}", known.join(", "))
        };
        bail!("{name}: no such file, and no model of that name in {FOLDER}; {known}")
    };
    let (card, checkpoint) = (Card::read(&folder)?, Checkpoint::read(&folder.join(WEIGHTS))?);
    let found = &checkpoint.header.sha256;
    ensure!(
        card.sha256 == *found,
        "{}: the card of other weights: sha256 is {}, and {WEIGHTS} has {found}",
        folder.join(CARD).display(),
        card.sha256
    );
    Ok(checkpoint)
}

impl Card {
    /// Reads the card in a folder.
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(CARD);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }
}

//! Models that come with the project: `models/zoo/<name>` has the weights of one, as a checkpoint without optimiser state, and its card.

use crate::checkpoint::Checkpoint;
use anyhow::{Context, Result, bail, ensure};
use sncn_record::card::{CARD, Card, FOLDER, WEIGHTS};
use std::path::{Path, PathBuf};

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
    let (card, checkpoint) = (read(&folder)?, Checkpoint::read(&folder.join(WEIGHTS))?);
    let found = &checkpoint.header.sha256;
    ensure!(
        card.sha256 == *found,
        "{}: the card of other weights: sha256 is {}, and {WEIGHTS} has {found}",
        folder.join(CARD).display(),
        card.sha256
    );
    Ok(checkpoint)
}

/// Reads the card in a folder.
fn read(folder: &Path) -> Result<Card> {
    let path = folder.join(CARD);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

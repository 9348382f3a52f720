//! Writing a model that comes with the project: its weights and its card.

use super::evaluate::TRAINING;
use super::saved::Saved;
use super::task::{Task, Trained};
use crate::checkpoint;
use crate::files::write_atomically;
use anyhow::{Context, Result};
use serde_json::Value;
use sncn_record::card::{CARD, Card, Number, WEIGHTS};
use sncn_record::{Measurement, Results};
use std::path::Path;

/// The words of a card that no file tells.
#[derive(clap::Args, Debug)]
pub(super) struct Words {
    /// For a model of the zoo: what it is, in a sentence.
    #[arg(long, requires = "results")]
    about: Option<String>,
    /// For a model of the zoo: what it is not for.
    #[arg(long, requires = "results")]
    limits: Option<String>,
    /// For a model of the zoo: the licence of its weights.
    #[arg(long, requires = "results")]
    licence: Option<String>,
    /// For a model of the zoo: what the results were measured on (default: as they say).
    #[arg(long, requires = "results", value_name = "SET")]
    test: Option<String>,
    /// For a model of the zoo: weights in 16-bit floats, half the size.
    #[arg(long, requires = "results")]
    half: bool,
}

/// Writes a model of the zoo into a folder, with the results of its evaluation.
pub(super) fn write<T: Task>(checkpoint: &Path, results: &Path, words: &Words, folder: &Path) -> Result<()> {
    let checkpoint = Saved::at(checkpoint).read()?;
    let from = checkpoint.path().with_file_name("");
    let trained = Trained::<T>::of(checkpoint)?;
    let text = std::fs::read_to_string(results).with_context(|| results.display().to_string())?;
    let results = Results::parse(&text).with_context(|| results.display().to_string())?;
    let Trained { mut header, run, seed, vars, .. } = trained;
    header.told.clear();
    header.epochs.clear();
    header.validation.clear();
    // what is given away is finished, the best epoch of a run that stopped too
    header.total = header.step;
    let save = if words.half { checkpoint::save_half } else { checkpoint::save_weights };
    let sha256 = save(&folder.join(WEIGHTS), &vars, header)?;
    for file in T::BESIDE.iter().map(|name| from.join(name)).filter(|file| file.is_file()) {
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        write_atomically(&folder.join(file.file_name().unwrap_or_default()), &bytes)?;
    }
    let table = if results.header.table.is_empty() { String::new() } else { format!("{}, ", results.header.table) };
    let word = |given: &Option<String>, usual: &str| given.clone().unwrap_or_else(|| usual.to_string());
    let card = Card {
        task: T::INFO.name.to_string(),
        about: word(&words.about, &format!("{} trained on {}", run.backbone, run.train)),
        data: run.train.clone(),
        test: word(&words.test, results.header.run.pointer("/protocol/data").and_then(Value::as_str).unwrap_or(&run.train)),
        row: format!("{table}{}, seed {seed}", run.name),
        sha256,
        results: whole(&results.measurements),
        notes: results.header.notes,
        limits: word(&words.limits, "Measured on the sets above and no others."),
        licence: word(
            &words.licence,
            "MIT OR Apache-2.0, as the project; the terms of the data apply to what was learnt from it",
        ),
    };
    write_atomically(&folder.join(CARD), (serde_json::to_string_pretty(&card)? + "\n").as_bytes())?;
    crate::out!("{}: {} and {CARD}", folder.display(), WEIGHTS);
    Ok(())
}

/// The numbers of sets as a whole: of shifted ones, means over their parts.
fn whole(measurements: &[Measurement]) -> Vec<Number> {
    let mut found: Vec<(Number, usize)> = Vec::new();
    for one in measurements.iter().filter(|one| !one.metric.contains('/') && one.split != TRAINING) {
        let set = one.split.split('/').next().unwrap_or_default();
        match found.iter_mut().find(|(known, _)| known.set == set && known.metric == one.metric) {
            Some((known, count)) => (known.value, *count) = (known.value + one.value, *count + 1),
            None => found.push((Number { set: set.to_string(), metric: one.metric.clone(), value: one.value, n: one.n }, 1)),
        }
    }
    found.into_iter().map(|(measured, count)| Number { value: measured.value / count as f64, ..measured }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_has_means_over_shifts_and_no_details() {
        let one = |split: &str, metric: &str, value: f64| Measurement { split: split.into(), metric: metric.into(), value, n: 7 };
        let all = [
            one("s", "error", 0.1),
            one("s", "confusion/0/1", 3.),
            one("s-c/fog/1", "error", 0.2),
            one("s-c/fog/2", "error", 0.4),
        ];
        let found = whole(&all);
        assert_eq!(found.iter().map(|one| one.set.as_str()).collect::<Vec<_>>(), ["s", "s-c"]);
        assert!((found[1].value - 0.3).abs() < 1e-12 && found[1].n == 7);
    }
}

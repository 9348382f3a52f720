//! Progress of training: a bar on a terminal, a line with the mean loss of an epoch on a terminal and in a file, and event files for
//! TensorBoard.

use super::cli;
use crate::EventFile;
use crate::checkpoint::Validation;
use crate::train::Step;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use sncn_record::checkpoint::{LOSS, Told};
use std::path::Path;
use std::time::{Duration, Instant};

/// Least time between two lines, so that short runs stay short to read.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    /// Steps of an epoch, and epochs.
    epoch: (usize, usize),
    events: Option<EventFile>,
    printed: Instant,
}

impl Progress {
    /// Of so many steps an epoch and so many epochs, of which `start` steps are done; with events in a folder.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub(super) fn new(name: &str, epoch: (usize, usize), start: usize, events: Option<&Path>) -> Result<Self> {
        let begun = |folder: &Path| {
            EventFile::create(folder, start).with_context(|| format!("--tensorboard {}: not to be written", folder.display()))
        };
        let events = events.map(begun).transpose()?;
        let bar = cli::progress(epoch.0 * epoch.1, &format!("train {name}"));
        bar.set_position(start as u64);
        bar.reset_eta();
        Ok(Self { bar, epoch, events, printed: Instant::now() })
    }

    /// After a step, with what was told of its epoch, and the last score on validation examples if there is one.
    pub(super) fn step(&mut self, step: &Step, told: &[Told], validation: Option<&Validation>, is_last: bool) {
        self.bar.set_position(step.done as u64);
        let (steps, epochs) = self.epoch;
        let is_epoch = step.done.is_multiple_of(steps);
        self.note(step, if is_epoch { told } else { &[] }, validation.filter(|one| one.step == step.done), is_last);
        if is_epoch && (is_last || self.printed.elapsed() >= BETWEEN_LINES) {
            let validation = validation
                .map_or(String::new(), |validation| format!(", {:.2} % on validation examples", 100. * validation.score));
            let (loss, others): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| told.name == LOSS);
            let mean = loss.first().and_then(|loss| loss.mean()).unwrap_or(step.loss);
            let told: String = others.into_iter().map(said).collect();
            self.bar.suspend(|| eprintln!("epoch {} of {epochs}: mean loss {mean:.4}{told}{validation}", step.done / steps));
            self.printed = Instant::now();
        }
    }

    /// Writes events; where that fails, says so and writes no more: training goes on.
    fn note(&mut self, step: &Step, told: &[Told], validation: Option<&Validation>, is_last: bool) {
        let Some(events) = &mut self.events else { return };
        let named = |told: &Told| Some((format!("epoch/{}", told.name), told.mean()?));
        let more: Vec<(String, f64)> = told.iter().filter_map(named).collect();
        let mut all = vec![("train/loss", step.loss), ("train/learning_rate", step.lr)];
        all.extend(more.iter().map(|(tag, value)| (tag.as_str(), *value)));
        all.extend(validation.map(|validation| ("validation/score", validation.score)));
        let written = events.scalars(step.done, &all).and_then(|()| if is_last { events.flush() } else { Ok(()) });
        if let Err(error) = written {
            let path = events.path().display();
            self.bar.suspend(|| eprintln!("warning: {path}: {error}; training goes on without events for TensorBoard"));
            self.events = None;
        }
    }

    /// Takes the bar away.
    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// What was told, in percent.
fn said(told: &Told) -> String {
    let name = told.name.replace('_', " ");
    told.mean().map_or(format!(", no {name}"), |mean| format!(", {name} {:.2} %", 100. * mean))
}

//! Progress of training: a bar on a terminal, and a line with the mean loss of an epoch on a terminal and in a file.

use super::cli;
use crate::checkpoint::Validation;
use crate::train::Step;
use indicatif::ProgressBar;
use sncn_record::checkpoint::Told;
use std::time::{Duration, Instant};

/// Least time between two lines, so that short runs stay short to read.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    bar: ProgressBar,
    /// Steps of an epoch, and epochs.
    epoch: (usize, usize),
    losses: Vec<f64>,
    printed: Instant,
}

impl Progress {
    /// Of so many steps an epoch and so many epochs, of which `start` steps are done.
    pub(super) fn new(name: &str, epoch: (usize, usize), start: usize) -> Self {
        let bar = cli::progress(epoch.0 * epoch.1, &format!("train {name}"));
        bar.set_position(start as u64);
        bar.reset_eta();
        Self { bar, epoch, losses: Vec::new(), printed: Instant::now() }
    }

    /// After a step, with what was told of its epoch, and the last score on validation examples if there is one.
    pub(super) fn step(&mut self, step: &Step, told: &[Told], validation: Option<&Validation>, is_last: bool) {
        self.bar.set_position(step.done as u64);
        self.losses.push(step.loss);
        let (steps, epochs) = self.epoch;
        if !step.done.is_multiple_of(steps) {
            return;
        }
        if is_last || self.printed.elapsed() >= BETWEEN_LINES {
            let mean = self.losses.iter().sum::<f64>() / self.losses.len() as f64;
            let validation = validation
                .map_or(String::new(), |validation| format!(", {:.2} % on validation examples", 100. * validation.score));
            let told: String = told.iter().map(said).collect();
            self.bar.suspend(|| eprintln!("epoch {} of {epochs}: mean loss {mean:.4}{told}{validation}", step.done / steps));
            self.printed = Instant::now();
        }
        self.losses.clear();
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

//! A model measured on examples as they are, and under every shift at every severity.

use super::kept::{Kept, Part};
use crate::harness::Observe;
use crate::harness::cli;
use crate::harness::record::Recorder;
use anyhow::{Context, Result};
use sncn_record::Task;
use std::time::{Duration, Instant};

/// The share of answers that differ from those to the clean examples, as results name it.
pub const CHANGED: &str = "changed";

/// The share of answers that differ.
pub(super) fn changed(clean: &[u32], answers: &[u32]) -> f64 {
    clean.iter().zip(answers).filter(|(before, now)| before != now).count() as f64 / answers.len().max(1) as f64
}

/// What results call the examples of a task under a shift at a severity; at 0, as they are.
pub fn split(task: &Task, shift: &str, severity: usize) -> String {
    match severity {
        0 => task.examples.to_string(),
        severity => format!("{}-c/{shift}/{severity}", task.examples),
    }
}

/// Shifts at severities.
#[derive(Clone, Copy, Debug)]
pub struct Shifts<'a> {
    /// The names of the shifts, in order.
    pub names: &'a [String],
    /// The severities, in order.
    pub severities: &'a [usize],
    /// The number of examples.
    pub examples: usize,
}

impl<'a> Shifts<'a> {
    /// The parts: the examples as they are, at severity 0 of no shift, and every shift at every severity.
    pub fn parts(self) -> impl Iterator<Item = (&'a str, usize)> {
        let cells =
            self.names.iter().flat_map(move |name| self.severities.iter().map(move |&severity| (name.as_str(), severity)));
        std::iter::once(("", 0)).chain(cells)
    }

    /// The highest severity.
    pub fn strongest(self) -> usize {
        self.severities.iter().max().copied().unwrap_or_default()
    }
}

/// Where what is found of a part is added.
pub struct Found<'a> {
    /// The results.
    pub recorder: &'a mut Recorder,
    /// What they call the part.
    pub split: &'a str,
}

/// What is measured.
pub trait Measured {
    /// The task that it is of.
    fn task(&self) -> &'static Task;

    /// The shifts that it is measured under.
    fn shifts(&self) -> Shifts<'_>;

    /// Measures a part, adds what is found to `found`, and gives the answers; none where a change of answers means nothing. `observe` is
    /// called with the number of examples done since the last call.
    ///
    /// # Errors
    /// If an example cannot be read, or the model fails.
    fn measure(&self, part: (&str, usize), found: Found<'_>, observe: Observe<'_>) -> Result<Vec<u32>>;

    /// Measures a few examples of a part, to tell what all will cost.
    ///
    /// # Errors
    /// As [`Measured::measure`].
    fn try_few(&self, part: (&str, usize), observe: Observe<'_>) -> Result<()>;
}

/// What measuring will cost: examples, and how many of them this machine does in a second, tried with every shift.
fn cost(measured: &dyn Measured, missing: usize) -> Result<String> {
    let (task, shifts) = (measured.task(), measured.shifts());
    // weights are packed and textures made before the clock starts
    measured.try_few(("", 0), &mut |_| {})?;
    let mut tried = 0;
    let begun = Instant::now();
    let severity = shifts.severities.last().copied().unwrap_or(1);
    for name in shifts.names {
        measured.try_few((name, severity), &mut |count| tried += count)?;
    }
    let parts = shifts.parts().count();
    let rate = f64::from(u32::try_from(tried)?) / begun.elapsed().as_secs_f64().max(1e-9);
    let left = Duration::from_secs_f64((missing * shifts.examples) as f64 / rate);
    let resumed =
        if missing < parts { format!("; {} of {parts} parts are measured already", parts - missing) } else { String::new() };
    Ok(format!(
        "{} {examples} × (1 + {} {}s × {} severities) = {} {examples}, {rate:.3} a second: about {}{resumed}",
        shifts.examples,
        shifts.names.len(),
        task.shift,
        shifts.severities.len(),
        shifts.examples * parts,
        told(left),
        examples = task.examples,
    ))
}

/// Measures what is not kept, and adds all to `recorder`. Says first what that will cost.
///
/// # Errors
/// If an example cannot be read, the model fails, or what is measured cannot be kept.
pub fn run(measured: &dyn Measured, kept: &mut Kept, recorder: &mut Recorder) -> Result<()> {
    let (task, shifts) = (measured.task(), measured.shifts());
    let missing = shifts.parts().count() - kept.count();
    if missing > 0 {
        eprintln!("{}", cost(measured, missing)?);
    }
    let bar = cli::progress(shifts.parts().count() * shifts.examples, "measure");
    for (shift, severity) in shifts.parts() {
        let split = split(task, shift, severity);
        if let Some(part) = kept.of(&split) {
            part.measurements.iter().for_each(|one| recorder.add(&one.split, &one.metric, one.value, one.n));
            bar.inc(shifts.examples as u64);
            continue;
        }
        let from = recorder.measurements().len();
        let into = Found { recorder, split: &split };
        let found = measured.measure((shift, severity), into, &mut |count| bar.inc(count as u64));
        let found = found.with_context(|| split.clone())?;
        if severity > 0 && !found.is_empty() {
            recorder.add(&split, CHANGED, changed(kept.answers(task.examples), &found), shifts.examples);
        }
        // a page shows examples at the highest severity
        let is_asked = severity == 0 || severity == shifts.strongest();
        let answers = if is_asked { found } else { Vec::new() };
        kept.add(Part { split, measurements: recorder.measurements()[from..].to_vec(), answers })?;
    }
    bar.finish_and_clear();
    Ok(())
}

/// A time in words.
fn told(time: Duration) -> String {
    match time.as_secs() {
        0..=119 => format!("{} s", time.as_secs().max(1)),
        120..=7199 => format!("{} min", time.as_secs() / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.),
    }
}

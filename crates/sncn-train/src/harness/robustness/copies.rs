//! What any program answered to the copies of examples that were written under shifts.

use super::predictions::{self, Answer};
use super::samples::{Answered, Changed};
use super::shifts::{CHANGED, changed, split};
use crate::calibration::Calibration;
use crate::confusion::Confusion;
use crate::harness::record::Recorder;
use anyhow::{Result, ensure};
use sncn_record::Task;
use std::collections::BTreeMap;
use std::path::Path;

/// A copy of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its path below the folder of the copies, or what stands for one.
    pub path: String,
    /// The name of its class.
    pub label: String,
    /// The shift.
    pub shift: String,
    /// The severity; 0 for a copy as the example was.
    pub severity: usize,
}

/// Copies of examples: those as they were first, then shift after shift.
pub struct Copies<'a> {
    task: &'static Task,
    folder: &'a Path,
    copies: Vec<Copied>,
    /// The number of examples that were copied.
    examples: usize,
    /// The classes, sorted.
    pub classes: Vec<String>,
}

impl<'a> Copies<'a> {
    /// Those of a folder, of so many examples.
    ///
    /// # Errors
    /// If there are none as the examples were, or one has no class.
    pub fn new(task: &'static Task, folder: &'a Path, examples: usize, copies: Vec<Copied>) -> Result<Self> {
        let (at, called) = (folder.display(), task.examples);
        let is_clean = examples > 0 && copies.iter().take(examples).filter(|copy| copy.severity == 0).count() == examples;
        ensure!(
            is_clean,
            "{at}: there are no clean copies, which changes are measured against: write the folder again with --clean"
        );
        let mut classes: Vec<String> = copies.iter().map(|copy| copy.label.clone()).collect();
        ensure!(
            classes.iter().all(|label| !label.is_empty()),
            "{at}: {called} without a class: what is copied must have classes"
        );
        classes.sort();
        classes.dedup();
        Ok(Self { task, folder, copies, examples, classes })
    }

    /// The copies of the example with this number: as it was, and under a shift at a severity.
    pub fn pair(&self, index: usize, shift: &str, severity: usize) -> Option<(&Copied, &Copied)> {
        let part = self.copies.chunks(self.examples).find(|part| part[0].shift == shift && part[0].severity == severity)?;
        Some((self.copies.get(index)?, part.get(index)?))
    }

    /// The labels of the examples.
    fn labels(&self) -> Vec<u32> {
        let place: BTreeMap<&str, u32> = (0..).zip(&self.classes).map(|(at, class)| (class.as_str(), at)).collect();
        self.copies[..self.examples].iter().map(|copy| place.get(copy.label.as_str()).copied().unwrap_or_default()).collect()
    }

    /// Adds what the answers in a file are worth, and gives them all.
    ///
    /// # Errors
    /// If the answers do not fit the examples.
    pub fn measure(&self, file: &Path, recorder: &mut Recorder) -> Result<Vec<u32>> {
        let Self { task, copies, classes, examples, .. } = self;
        let labels = self.labels();
        let mut answers = vec![0u32; copies.len()];
        let mut calibrations: Vec<Option<Calibration>> = vec![None; copies.len() / examples];
        let paths: Vec<&str> = copies.iter().map(|copy| copy.path.as_str()).collect();
        predictions::read(file, (self.folder, task.examples), &paths, classes, |index, answer| {
            let Answer { class, probabilities } = answer;
            answers[index] = class as u32;
            if !probabilities.is_empty() {
                let calibration = calibrations[index / examples].get_or_insert_with(Calibration::default);
                calibration.add(&probabilities, labels[index % examples] as usize)?;
            }
            Ok(())
        })?;
        // the clean copies come first
        let clean = &answers[..*examples];
        for ((copies, answers), calibration) in copies.chunks(*examples).zip(answers.chunks(*examples)).zip(calibrations) {
            let mut confusion = Confusion::new(classes.len());
            confusion.add(&labels, answers)?;
            let split = split(task, &copies[0].shift, copies[0].severity);
            let main = if task.low { confusion.error() } else { 1. - confusion.error() };
            recorder.add(&split, task.metric, main, *examples);
            recorder.add(&split, "macro_f1", confusion.macro_f1_present(), *examples);
            if let Some(calibration) = calibration {
                recorder.add(&split, "nll", calibration.nll(), *examples);
                recorder.add(&split, "ece", calibration.ece(), *examples);
            }
            if copies[0].severity > 0 {
                recorder.add(&split, CHANGED, changed(clean, answers), *examples);
            }
        }
        Ok(answers)
    }

    /// For each shift at a severity an example whose answer it changes, where there is one.
    pub fn changed(&self, answers: &[u32], severity: usize) -> Vec<Changed<'_>> {
        let parts = self.copies.chunks(self.examples).zip(answers.chunks(self.examples));
        let strongest = parts.filter(|(copies, _)| copies[0].severity == severity);
        let labels = self.labels();
        let answered = Answered { labels: &labels, clean: &answers[..self.examples] };
        answered.changed(strongest.map(|(copies, answers)| (copies[0].shift.as_str(), answers)))
    }
}

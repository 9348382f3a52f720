//! What any program answered to the copies that `corrupt` wrote.

use super::super::corrupt::{Copy, Manifest};
use super::predictions::{self, Answer};
use super::protocol::Protocol;
use super::samples::{Answered, Sample};
use crate::picture::{self, Limit, Photo};
use anyhow::{Context, Result, ensure};
use sncn_train::calibration::Calibration;
use sncn_train::confusion::Confusion;
use sncn_train::harness::record::Recorder;
use std::collections::BTreeMap;
use std::path::Path;

/// A folder of copies, with its classes.
pub(super) struct Copies<'a> {
    folder: &'a Path,
    copies: Vec<Copy>,
    /// The number of images that were copied.
    images: usize,
    /// The classes, sorted.
    pub(super) classes: Vec<String>,
    /// How the copies were made.
    pub(super) protocol: Protocol,
}

impl<'a> Copies<'a> {
    /// Reads the manifest and the list of a folder.
    ///
    /// # Errors
    /// If the folder was not written by `corrupt --clean`, or its images have no classes.
    pub(super) fn read(folder: &'a Path) -> Result<Self> {
        let (manifest, copies) = Manifest::read(folder)?;
        ensure!(
            manifest.clean,
            "{}: there are no clean copies, which changes are measured against: write the folder again with corrupt --clean",
            folder.display()
        );
        let mut classes: Vec<String> = copies.iter().map(|copy| copy.label.clone()).collect();
        ensure!(
            classes.iter().all(|label| !label.is_empty()),
            "{}: images without a class: corrupt a folder of class folders",
            folder.display()
        );
        classes.sort();
        classes.dedup();
        Ok(Self { folder, copies, images: manifest.images, classes, protocol: Protocol::of_copies(&manifest) })
    }

    /// Adds what the answers in a file are worth, and gives them all.
    ///
    /// # Errors
    /// If the answers do not fit the images.
    pub(super) fn measure(&self, file: &Path, recorder: &mut Recorder) -> Result<Vec<u32>> {
        let Self { copies, classes, images, .. } = self;
        let place: BTreeMap<&str, u32> = (0..).zip(classes).map(|(at, class)| (class.as_str(), at)).collect();
        let label = |copy: &Copy| place.get(copy.label.as_str()).copied().unwrap_or_default();
        let mut answers = vec![0u32; copies.len()];
        let mut calibrations: Vec<Option<Calibration>> = vec![None; copies.len() / images.max(&1)];
        let paths: Vec<&str> = copies.iter().map(|copy| copy.path.as_str()).collect();
        predictions::read(file, self.folder, &paths, classes, |index, answer| {
            let Answer { class, probabilities } = answer;
            answers[index] = class as u32;
            if !probabilities.is_empty() {
                let calibration = calibrations[index / images].get_or_insert_with(Calibration::default);
                calibration.add(&probabilities, label(&copies[index]) as usize)?;
            }
            Ok(())
        })?;
        // the clean copies come first
        let clean = &answers[..*images];
        for ((copies, answers), calibration) in copies.chunks(*images).zip(answers.chunks(*images)).zip(calibrations) {
            let labels: Vec<u32> = copies.iter().map(label).collect();
            let mut confusion = Confusion::new(classes.len());
            confusion.add(&labels, answers)?;
            let split = split(&copies[0].corruption, copies[0].severity);
            recorder.add(&split, "error", confusion.error(), *images);
            recorder.add(&split, "macro_f1", confusion.macro_f1_present(), *images);
            if let Some(calibration) = calibration {
                recorder.add(&split, "nll", calibration.nll(), *images);
                recorder.add(&split, "ece", calibration.ece(), *images);
            }
            if copies[0].severity > 0 {
                recorder.add(&split, CHANGED, changed(clean, answers), *images);
            }
        }
        Ok(answers)
    }

    /// For each corruption an image whose answer it changes, at the highest severity, where there is one.
    ///
    /// # Errors
    /// If a copy cannot be read.
    pub(super) fn samples(&self, answers: &[u32]) -> Result<Vec<Sample>> {
        let class = |name: &str| self.classes.iter().position(|class| class == name).unwrap_or_default() as u32;
        let labels: Vec<u32> = self.copies[..self.images].iter().map(|copy| class(&copy.label)).collect();
        let strongest = || {
            let each = self.copies.chunks(self.images).zip(answers.chunks(self.images));
            each.filter(|(copies, _)| copies[0].severity == self.protocol.strongest())
        };
        let read = |copy: &Copy| picture::read(&self.folder.join(&copy.path), Limit::default()).map(Photo::from);
        let shown = |corruption: &str, index: usize| {
            let changed = strongest().find(|(copies, _)| copies[0].corruption == corruption).map(|(copies, _)| &copies[index]);
            let (clean, changed) = (&self.copies[index], changed.context("a corruption without copies")?);
            Ok((clean.path.clone(), read(clean)?, read(changed)?))
        };
        let answered = Answered { classes: &self.classes, labels: &labels, clean: &answers[..self.images] };
        answered.samples(strongest().map(|(copies, answers)| (copies[0].corruption.as_str(), answers)), shown)
    }
}

/// The name of the set in results; with `-c` its corrupted copies.
pub(super) const SET: &str = "images";

/// The share of answers that differ from those to the clean images.
pub(super) const CHANGED: &str = "changed";

/// The share of answers that differ.
pub(super) fn changed(clean: &[u32], answers: &[u32]) -> f64 {
    clean.iter().zip(answers).filter(|(before, now)| before != now).count() as f64 / answers.len().max(1) as f64
}

/// What results call the images of a corruption at a severity; at 0, those that are as they were.
pub(super) fn split(corruption: &str, severity: usize) -> String {
    match severity {
        0 => SET.to_string(),
        severity => format!("{SET}-c/{corruption}/{severity}"),
    }
}

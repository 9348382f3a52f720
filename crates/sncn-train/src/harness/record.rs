//! `Recorder`: collects the measurements of an evaluation and writes its results file.

use super::summary;
use crate::confusion::Confusion;
use crate::evaluate::Evaluation;
use crate::files::write_atomically;
use crate::rank::Ranks;
use anyhow::Result;
use sncn_record::corruption_error::{MCE_ALEXNET, MEAN_CE_ALEXNET, RELATIVE_MCE_ALEXNET, Reference};
use sncn_record::results::{Header, Measurement, Results};
use std::path::Path;

/// k of the top-k error that is recorded beside the error, which is top-1.
const TOP: usize = 5;

/// Collects measurements and writes them once, whole.
pub struct Recorder {
    results: Results,
}

impl Recorder {
    /// Starts with a header.
    pub fn new(header: Header) -> Self {
        Self { results: Results { header, measurements: Vec::new() } }
    }

    /// What is measured, where and by what.
    pub fn header(&self) -> &Header {
        &self.results.header
    }

    /// Adds what a reader should know.
    pub fn note(&mut self, note: String) {
        self.results.header.notes.push(note);
    }

    /// What a reader should know.
    pub fn notes(&self) -> &[String] {
        &self.results.header.notes
    }

    /// Adds one number.
    pub fn add(&mut self, split: &str, metric: &str, value: f64, n: usize) {
        let measurement = Measurement { split: split.to_string(), metric: metric.to_string(), value, n };
        self.results.measurements.push(measurement);
    }

    /// Adds what an evaluation of one test set found; with `detail`, its reliability bins and confusion counts too. The top-5 error
    /// is only there where more than five classes can be answered: with fewer it is 0 by definition.
    pub fn add_evaluation(&mut self, split: &str, found: &Evaluation, detail: bool) {
        let (n, calibration, confusion) = (found.predictions.len(), &found.calibration, &found.confusion);
        self.add(split, "error", confusion.error(), n);
        self.add_top(split, "", &found.ranks, n);
        if let Some(ranks) = &found.all_classes {
            self.add(split, "error_all_classes", ranks.error(1), n);
            self.add_top(split, "_all_classes", ranks, n);
        }
        self.add(split, "macro_f1", confusion.macro_f1_present(), n);
        self.add(split, "nll", calibration.nll(), n);
        self.add(split, "ece", calibration.ece(), n);
        if let Some(scaled) = &found.scaled {
            self.add(split, "nll_scaled", scaled.nll(), n);
            self.add(split, "ece_scaled", scaled.ece(), n);
        }
        if !detail {
            return;
        }
        for (index, bin) in calibration.bins().iter().enumerate().filter(|(_, bin)| bin.count > 0) {
            let items = bin.count as usize;
            self.add(split, &format!("reliability/{index}/count"), bin.count as f64, n);
            self.add(split, &format!("reliability/{index}/accuracy"), bin.accuracy, items);
            self.add(split, &format!("reliability/{index}/confidence"), bin.confidence, items);
        }
        self.add_confusion(split, confusion, n);
    }

    /// Adds the scores of a test set's pixels: the mean IoU and accuracy over all classes, as published, in which an
    /// absent class counts 0; the mean IoU over the classes that occur; and the IoU of each of these. Void pixels do not count; of
    /// a set of void pixels all is 0, over 0 pixels. With `detail`, its confusion counts too.
    pub fn add_segmentation(&mut self, split: &str, confusion: &Confusion, classes: &[String], detail: bool) {
        let n = confusion.total() as usize;
        self.add(split, "miou", confusion.mean_iou(), n);
        self.add(split, "miou_present", confusion.mean_iou_present(), n);
        self.add(split, "mean_accuracy", confusion.mean_accuracy(), n);
        self.add(split, "pixel_accuracy", confusion.accuracy(), n);
        for (class, iou) in confusion.iou().into_iter().enumerate().filter(|(class, _)| confusion.occurs(*class)) {
            let name = classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            self.add(split, &format!("iou/{name}"), iou, n);
        }
        if detail {
            self.add_confusion(split, confusion, n);
        }
    }

    /// Adds the top-5 error where more than five classes can be answered.
    fn add_top(&mut self, split: &str, among: &str, ranks: &Ranks, n: usize) {
        if ranks.classes() > TOP {
            self.add(split, &format!("top{TOP}_error{among}"), ranks.error(TOP), n);
        }
    }

    /// Adds the corruption errors of the test set `set` divided by those of a reference network, where what was measured of the set can
    /// be: the mCE and, with the error on the set that was corrupted, the relative mCE; the mean of what there is, under a name of its
    /// own, where some of the reference's corruptions were not measured.
    pub fn add_normalised(&mut self, set: &str, reference: &Reference) {
        let measurements = self.measurements();
        let Some((_, errors)) = summary::shifted(measurements, "error").into_iter().find(|(name, _)| *name == set) else {
            return;
        };
        let clean = summary::unshifted(set).and_then(|base| summary::value(measurements, base, "error"));
        let Ok(found) = errors.normalised_by(reference, clean) else { return };
        let under = |m: &&Measurement| m.metric == "error" && m.split.strip_prefix(set).is_some_and(|rest| rest.starts_with('/'));
        let n = measurements.iter().find(under).map_or(0, |m| m.n);
        self.add(set, if found.is_whole { MCE_ALEXNET } else { MEAN_CE_ALEXNET }, found.mean(), n);
        if found.is_whole && clean.is_some() {
            self.add(set, RELATIVE_MCE_ALEXNET, found.relative_mean(), n);
        }
    }

    fn add_confusion(&mut self, split: &str, confusion: &Confusion, n: usize) {
        for (label, prediction, count) in confusion.cells() {
            self.add(split, &format!("confusion/{label}/{prediction}"), count as f64, n);
        }
    }

    /// The numbers so far.
    pub fn measurements(&self) -> &[Measurement] {
        &self.results.measurements
    }

    /// Writes the file.
    ///
    /// # Errors
    /// If it cannot be written; no half of it is left.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_atomically(path, self.results.to_text()?.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corruption_error::ALEXNET;
    use serde_json::json;

    fn recorder() -> Recorder {
        let header = json!({"format": 1, "row": "a", "seed": 0, "run": {}, "commit": null, "dirty": false});
        Recorder::new(serde_json::from_value(header).unwrap())
    }

    /// Errors of half of AlexNet's under so many corruptions at so many severities, and on the clean images.
    fn measured(corruptions: usize, severities: usize, clean: bool) -> Recorder {
        let mut recorder = recorder();
        if clean {
            recorder.add("imagenet", "error", ALEXNET.clean / 2., 50);
        }
        for (name, error) in &ALEXNET.errors[..corruptions] {
            (1..=severities).for_each(|severity| recorder.add(&format!("imagenet-c/{name}/{severity}"), "error", error / 2., 50));
        }
        recorder.add_normalised("imagenet-c", &ALEXNET);
        recorder
    }

    fn found(recorder: &Recorder) -> Vec<(&str, f64, usize)> {
        let whole = recorder.measurements().iter().filter(|m| m.split == "imagenet-c");
        whole.map(|m| (m.metric.as_str(), (m.value * 1e9).round() / 1e9, m.n)).collect()
    }

    #[test]
    fn only_the_whole_benchmark_has_an_mce() {
        assert_eq!(found(&measured(15, 5, true)), [("mce_alexnet", 0.5, 50), ("relative_mce_alexnet", 0.5, 50)]);
        assert_eq!(found(&measured(15, 5, false)), [("mce_alexnet", 0.5, 50)]);
        assert_eq!(found(&measured(3, 5, true)), [("mean_ce_alexnet", 0.5, 50)]);
        assert_eq!(found(&measured(15, 4, true)), []);
        assert_eq!(found(&measured(0, 5, true)), []);
    }

    #[test]
    fn top_5_errors_are_recorded_where_more_than_five_classes_can_be_answered() {
        let evaluation = |classes: usize, all: Option<usize>| {
            let mut ranks = Ranks::new(classes);
            (0..10).for_each(|rank| ranks.add(rank));
            Evaluation {
                confusion: Confusion::new(all.unwrap_or(classes)),
                calibration: Default::default(),
                predictions: vec![0; 10],
                scaled: None,
                scored: None,
                uniform: 0,
                all_classes: all.map(|all| {
                    let mut ranks = Ranks::new(all);
                    (0..10).for_each(|rank| ranks.add(2 * rank));
                    ranks
                }),
                ranks,
            }
        };
        let errors = |evaluation: &Evaluation| {
            let mut recorder = recorder();
            recorder.add_evaluation("s", evaluation, false);
            let errors = recorder.measurements().iter().filter(|m| m.metric.contains("error"));
            errors.map(|m| (m.metric.clone(), m.value)).collect::<Vec<_>>()
        };
        let named = |names: &[(&str, f64)]| names.iter().map(|(name, value)| (name.to_string(), *value)).collect::<Vec<_>>();
        // a confusion matrix without items has the error 1
        assert_eq!(errors(&evaluation(10, None)), named(&[("error", 1.), ("top5_error", 0.5)]));
        assert_eq!(errors(&evaluation(5, None)), named(&[("error", 1.)]));
        let some = named(&[("error", 1.), ("error_all_classes", 0.9), ("top5_error_all_classes", 0.7)]);
        assert_eq!(errors(&evaluation(5, Some(30))), some);
    }
}

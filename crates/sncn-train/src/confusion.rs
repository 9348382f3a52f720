//! `Confusion`: a confusion matrix, from which error, accuracy, IoU, F1 and MCC are computed.

/// Added to denominators of IoU and accuracy, as in the published evaluation.
const EPS: f64 = 1e-10;

/// Why items could not be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfusionError {
    /// The numbers of labels and predictions differ.
    #[error("{labels} labels for {predictions} predictions")]
    Lengths {
        /// The number of labels.
        labels: usize,
        /// The number of predictions.
        predictions: usize,
    },
    /// A label or a prediction is not a class.
    #[error("label {label}, prediction {prediction}: {classes} classes")]
    Class {
        /// The label.
        label: u32,
        /// The prediction.
        prediction: u32,
        /// The number of classes.
        classes: usize,
    },
}

/// A confusion matrix: rows are labels, columns are predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
    ignore: Option<u32>,
}

impl Confusion {
    /// A matrix without items.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes], ignore: None }
    }

    /// Makes [`add`](Self::add) skip items with this label.
    pub fn ignoring(self, label: u32) -> Self {
        Self { ignore: Some(label), ..self }
    }

    /// Adds items.
    ///
    /// # Errors
    /// If the lengths differ or a value is not a class.
    pub fn add(&mut self, labels: &[u32], predictions: &[u32]) -> Result<(), ConfusionError> {
        if labels.len() != predictions.len() {
            return Err(ConfusionError::Lengths { labels: labels.len(), predictions: predictions.len() });
        }
        for (&label, &prediction) in labels.iter().zip(predictions) {
            if self.ignore == Some(label) {
                continue;
            }
            let (row, column) = (label as usize, prediction as usize);
            if row >= self.classes || column >= self.classes {
                return Err(ConfusionError::Class { label, prediction, classes: self.classes });
            }
            self.counts[row * self.classes + column] += 1;
        }
        Ok(())
    }

    /// The number of items with this label and prediction.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        self.counts[label * self.classes + prediction]
    }

    /// The cells that are not 0, as (label, prediction, count).
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let all = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        all.map(|(index, &count)| (index / self.classes, index % self.classes, count))
    }

    /// The number of items.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn hits(&self, class: usize) -> f64 {
        self.count(class, class) as f64
    }

    fn labels(&self, class: usize) -> f64 {
        (0..self.classes).map(|p| self.count(class, p)).sum::<u64>() as f64
    }

    fn predictions(&self, class: usize) -> f64 {
        (0..self.classes).map(|l| self.count(l, class)).sum::<u64>() as f64
    }

    fn each(&self, f: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..self.classes).map(f).collect()
    }

    /// The fraction of items that are predicted correctly.
    pub fn accuracy(&self) -> f64 {
        self.each(|c| self.hits(c)).iter().sum::<f64>() / (self.total() as f64).max(1.)
    }

    /// The fraction of items that are predicted wrongly.
    pub fn error(&self) -> f64 {
        1. - self.accuracy()
    }

    /// The intersection over union of every class.
    pub fn iou(&self) -> Vec<f64> {
        self.each(|c| self.hits(c) / (self.labels(c) + self.predictions(c) - self.hits(c) + EPS))
    }

    /// The accuracy of every class.
    pub fn class_accuracy(&self) -> Vec<f64> {
        self.each(|c| self.hits(c) / (self.labels(c) + EPS))
    }

    /// The mean accuracy over all classes; a class that does not occur counts as 0.
    pub fn mean_accuracy(&self) -> f64 {
        self.class_accuracy().iter().sum::<f64>() / self.classes as f64
    }

    /// The mean IoU over all classes; a class that does not occur counts as 0.
    pub fn mean_iou(&self) -> f64 {
        self.iou().iter().sum::<f64>() / self.classes as f64
    }

    /// The mean IoU over the classes that occur as label or prediction.
    pub fn mean_iou_present(&self) -> f64 {
        self.mean_present(&self.iou())
    }

    /// The F1 score of every class; 0 if it is undefined.
    pub fn f1(&self) -> Vec<f64> {
        self.each(|c| {
            let sum = self.labels(c) + self.predictions(c);
            if sum == 0. { 0. } else { 2. * self.hits(c) / sum }
        })
    }

    /// The mean F1 score over all classes.
    pub fn macro_f1(&self) -> f64 {
        self.f1().iter().sum::<f64>() / self.classes as f64
    }

    /// The mean F1 score over the classes that occur as label or prediction.
    pub fn macro_f1_present(&self) -> f64 {
        self.mean_present(&self.f1())
    }

    /// Whether a class occurs as label or prediction.
    pub fn occurs(&self, class: usize) -> bool {
        self.labels(class) + self.predictions(class) > 0.
    }

    fn mean_present(&self, values: &[f64]) -> f64 {
        let present: Vec<f64> = values.iter().enumerate().filter(|(c, _)| self.occurs(*c)).map(|(_, &v)| v).collect();
        present.iter().sum::<f64>() / present.len().max(1) as f64
    }

    /// The multiclass Matthews correlation coefficient; 0 if it is undefined.
    pub fn mcc(&self) -> f64 {
        let total = self.total() as f64;
        let (t, p) = (self.each(|c| self.labels(c)), self.each(|c| self.predictions(c)));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (total * total - dot(&p, &p), total * total - dot(&t, &t));
        if left == 0. || right == 0. { 0. } else { (self.accuracy() * total * total - dot(&t, &p)) / (left * right).sqrt() }
    }
}

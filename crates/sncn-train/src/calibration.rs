//! `Calibration`: expected calibration error (Guo et al. 2017; 15 bins of equal width, (b/15, (b + 1)/15]), negative
//! log-likelihood and Brier score.

use crate::predict::argmax;

/// A label that is not a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {label} for {classes} classes")]
pub struct LabelError {
    /// The label.
    pub label: usize,
    /// The number of classes.
    pub classes: usize,
}

/// The number of confidence bins.
pub const BINS: usize = 15;

/// One confidence bin, which is a bar of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// The number of items in the bin.
    pub count: u64,
    /// The fraction of them that are predicted correctly; 0 if there are none.
    pub accuracy: f64,
    /// Their mean confidence; 0 if there are none.
    pub confidence: f64,
}

/// Calibration of the predictions for all items that were added.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    count: [u64; BINS],
    correct: [u64; BINS],
    confidence: [f64; BINS],
    nll: f64,
    brier: f64,
}

impl Calibration {
    /// Adds an item with its class probabilities and its label.
    ///
    /// # Errors
    /// If the label is not a class.
    pub fn add(&mut self, probabilities: &[f64], label: usize) -> Result<(), LabelError> {
        if label >= probabilities.len() {
            return Err(LabelError { label, classes: probabilities.len() });
        }
        let prediction = argmax(probabilities);
        let confidence = probabilities[prediction];
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        self.count[bin] += 1;
        self.correct[bin] += u64::from(prediction == label);
        self.confidence[bin] += confidence;
        self.nll -= probabilities[label].max(f64::MIN_POSITIVE).ln();
        let distance = |(class, p): (usize, &f64)| (p - f64::from(u8::from(class == label))).powi(2);
        self.brier += probabilities.iter().enumerate().map(distance).sum::<f64>();
        Ok(())
    }

    fn total(&self) -> f64 {
        (self.count.iter().sum::<u64>() as f64).max(1.)
    }

    /// The bins in order of increasing confidence.
    pub fn bins(&self) -> [Bin; BINS] {
        std::array::from_fn(|b| {
            let (count, items) = (self.count[b], (self.count[b] as f64).max(1.));
            Bin { count, accuracy: self.correct[b] as f64 / items, confidence: self.confidence[b] / items }
        })
    }

    /// The expected calibration error: Σ n_b/N·|accuracy_b − confidence_b|.
    pub fn ece(&self) -> f64 {
        let gap = |b: usize| (self.correct[b] as f64 - self.confidence[b]).abs();
        (0..BINS).map(gap).sum::<f64>() / self.total()
    }

    /// The mean negative log-likelihood.
    pub fn nll(&self) -> f64 {
        self.nll / self.total()
    }

    /// The mean Brier score, summed over classes.
    pub fn brier(&self) -> f64 {
        self.brier / self.total()
    }
}

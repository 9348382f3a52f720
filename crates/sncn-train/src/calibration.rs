//! `Calibration`: expected calibration error (Guo et al. 2017; 15 equal bins (b/15, (b + 1)/15]), negative
//! log-likelihood and Brier score.

use crate::predict::argmax;

/// A label that is no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label {label} for {classes} classes")]
pub struct LabelError {
    /// The label.
    pub label: usize,
    /// How many classes there are.
    pub classes: usize,
}

/// Bins of confidence.
pub const BINS: usize = 15;

/// One bin of confidence: a bar of a reliability diagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Items in it.
    pub count: u64,
    /// Share of them that are right; 0 where there are none.
    pub accuracy: f64,
    /// Their mean confidence; 0 where there are none.
    pub confidence: f64,
}

/// Sums over items.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    count: [u64; BINS],
    correct: [u64; BINS],
    confidence: [f64; BINS],
    nll: f64,
    brier: f64,
}

impl Calibration {
    /// Adds an item: its class probabilities and its label.
    ///
    /// # Errors
    /// Where the label is no class.
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

    /// The bins, from the least confident; those that no item fell into are empty.
    pub fn bins(&self) -> [Bin; BINS] {
        std::array::from_fn(|b| {
            let (count, items) = (self.count[b], (self.count[b] as f64).max(1.));
            Bin { count, accuracy: self.correct[b] as f64 / items, confidence: self.confidence[b] / items }
        })
    }

    /// Expected calibration error: Σ n_b/N·|accuracy_b − confidence_b|.
    pub fn ece(&self) -> f64 {
        let gap = |b: usize| (self.correct[b] as f64 - self.confidence[b]).abs();
        (0..BINS).map(gap).sum::<f64>() / self.total()
    }

    /// Mean negative log-likelihood.
    pub fn nll(&self) -> f64 {
        self.nll / self.total()
    }

    /// Mean Brier score, summed over classes.
    pub fn brier(&self) -> f64 {
        self.brier / self.total()
    }
}

//! FixMatch (Sohn et al. 2020, arXiv:2001.07685): what a network is sure of on a weakly augmented instance without a label is the label of
//! the same instance, strongly augmented.
//!
//! loss = CE(labelled) + w·(1/U)·Σ 1[max p ≥ τ]·CE(strong, argmax p) over the U instances without a label, p = softmax(weak / T) without a
//! gradient. One pass serves labelled, weak and strong instances, which so share batch statistics. Where the batch mixes (CrossNorm), the
//! weak instances stay as they are: pseudo-labels come from images as they look.

use crate::data::Batch;
use candle_core::{DType, Result, Tensor, bail};
use serde::{Deserialize, Serialize};
use sncn_core::loss::cross_entropy;
use sncn_record::checkpoint::Told;

/// The label of instances whose pseudo-label does not count.
const UNSURE: u32 = u32::MAX;

/// The settings of FixMatch; the defaults are those published for CIFAR-10.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixMatch {
    /// τ, 0 to 1: the least probability of a class that makes it a pseudo-label.
    pub threshold: f64,
    /// w, the weight of the loss on pseudo-labels.
    pub weight: f64,
    /// T, by which weak scores are divided.
    pub temperature: f64,
    /// Instances without a label for each labelled one in a batch (μ).
    pub ratio: usize,
}

impl Default for FixMatch {
    fn default() -> Self {
        Self { threshold: 0.95, weight: 1., temperature: 1., ratio: 7 }
    }
}

/// What FixMatch tells, in this order: the share of the instances without a label that got a pseudo-label, the share of these that are
/// right, and the mean probability of the likeliest class.
pub const TOLD: [&str; 3] = ["pseudo_labels", "pseudo_accuracy", "confidence"];

impl FixMatch {
    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        if !(0. ..=1.).contains(&self.threshold) {
            bail!("objective.threshold is {}; 0 to 1 is accepted", self.threshold)
        }
        for (name, value) in [("weight", self.weight), ("temperature", self.temperature)] {
            if !(value.is_finite() && value > 0.) {
                bail!("objective.{name} is {value}; a positive number is accepted")
            }
        }
        if self.ratio == 0 {
            bail!("objective.ratio is 0; at least 1 is accepted")
        }
        Ok(())
    }

    /// Which instances of a batch mix: all but the weakly augmented ones.
    pub(crate) fn mixing(batch: &Batch) -> Vec<bool> {
        let (labelled, unlabelled) = (batch.labels.len(), batch.unlabelled.len());
        (0..labelled + 2 * unlabelled).map(|n| !(labelled..labelled + unlabelled).contains(&n)).collect()
    }

    /// The loss of a batch with these scores (N + 2U, classes), of which `labelled` is that of the labelled ones.
    ///
    /// # Errors
    /// If the batch has no instances without a label, or there are not as many scores as inputs.
    pub(crate) fn loss(
        &self,
        scores: &Tensor,
        batch: &Batch,
        labelled: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Vec<Told>)> {
        let (n, u) = (batch.labels.len(), batch.unlabelled.len());
        if u == 0 || scores.dim(0)? != n + 2 * u {
            bail!("fixmatch: {} scores for {n} labelled instances and {u} without a label, each in two views", scores.dim(0)?)
        }
        let loss = labelled(&scores.narrow(0, 0, n)?)?;
        let (weak, strong) = (scores.narrow(0, n, u)?, scores.narrow(0, n + u, u)?);
        let likeliest: Vec<(u32, f64)> = self.likeliest(&weak)?;
        let is_sure = |probability: f64| probability >= self.threshold;
        let pseudo: Vec<u32> = likeliest.iter().map(|&(class, p)| if is_sure(p) { class } else { UNSURE }).collect();
        let sure = pseudo.iter().filter(|&&class| class != UNSURE).count() as f64;
        let right = pseudo.iter().zip(&batch.unlabelled).filter(|(pseudo, class)| pseudo == class).count() as f64;
        let confidence: f64 = likeliest.iter().map(|(_, p)| p).sum();
        let told = [(sure, u as f64), (right, sure), (confidence, u as f64)];
        let told = TOLD.into_iter().zip(told).map(|(name, (sum, count))| Told { name: name.to_string(), sum, count }).collect();
        if sure == 0. {
            return Ok((loss, told));
        }
        // the mean is over those that count; the published one over all
        let other = (cross_entropy(&strong, &pseudo, Some(UNSURE))? * (self.weight * sure / u as f64))?;
        Ok(((loss + other)?, told))
    }

    /// The likeliest class of every instance and its probability, of several the first, from weak scores (U, classes).
    ///
    /// # Errors
    /// If the scores are no matrix.
    pub fn likeliest(&self, weak: &Tensor) -> Result<Vec<(u32, f64)>> {
        let rows = weak.detach().to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let of = |row: Vec<f64>| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|score| ((score - most) / self.temperature).exp()).sum();
            (row.iter().position(|&score| score == most).unwrap_or_default() as u32, 1. / sum)
        };
        Ok(rows.into_iter().map(of).collect())
    }
}

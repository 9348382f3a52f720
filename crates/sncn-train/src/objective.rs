//! `Objective`: the training loss of a batch.
//!
//! One Bernoulli draw per batch decides whether the batch mixes ([`MixConfig`]), that is, whether CrossNorm or another layer that
//! mixes instances is active.
//!
//! - plain: cross-entropy, in a mixed pass if the batch mixes.
//! - consistency: cross-entropy of the clean pass + w·JS(clean, mixed 1, mixed 2) if the batch mixes; otherwise plain.
//! - augmix: cross-entropy of the clean view + w·JS(clean, view 1, view 2), all views in one pass; if the batch mixes, also
//!   c·JS(clean, mixed 1, mixed 2) of the clean view.
//! - mixup, cutmix, adversarial: cross-entropy of perturbed inputs.
//! - fixmatch: cross-entropy of the labelled instances + that of strongly augmented ones with pseudo-labels ([`FixMatch`]).
//! - segment: cross-entropy of all pixels that are not void + a·the same of the auxiliary head, in a mixed pass if the batch mixes.
//!
//! [`Objective::smoothed`] takes every cross-entropy with labels of examples (not of pixels) from smoothed labels.
//!
//! ```
//! use candle_core::{DType, Device, Result, Tensor};
//! use sncn_core::{Network, Pass, Seed};
//! use sncn_train::{Batch, Objective};
//!
//! /// Scores that are the inputs.
//! struct Identity;
//!
//! impl Network for Identity {
//!     fn forward(&self, xs: &Tensor, _: &Pass) -> Result<Tensor> {
//!         Ok(xs.clone())
//!     }
//!
//!     fn sites(&self) -> usize {
//!         0
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let inputs = Tensor::zeros((4, 10), DType::F32, &Device::Cpu)?;
//! let batch = Batch::new(inputs, vec![0, 1, 2, 3]);
//! let loss = Objective::Plain {}.loss(&Identity, &batch, None, Seed::new(0))?;
//! assert!((loss.to_scalar::<f32>()? - 10f32.ln()).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```

use crate::adversary::AdversarialNoise;
use crate::data::{Batch, VOID};
use crate::fixmatch::FixMatch;
use crate::perturb::{self, Attack};
use candle_core::{Result, Tensor, bail};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sncn_core::loss::{cross_entropy, jensen_shannon, smoothed_cross_entropy};
use sncn_core::{Network, Pass, Seed};
use sncn_record::checkpoint::Told;

/// When layers that mix instances (CrossNorm, MixStyle, EFDMix, DSU, pAdaIN) are active.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixConfig {
    /// The probability that a batch mixes; drawn once per batch.
    pub probability: f64,
    /// The number of active sites of the network, drawn uniformly for each pass.
    pub active: usize,
}

/// The training loss of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// Cross-entropy.
    Plain {},
    /// Cross-entropy and Jensen–Shannon consistency of two mixed passes (Tang et al. 2021).
    Consistency {
        /// w, 10 in the paper.
        weight: f64,
    },
    /// AugMix (Hendrycks et al. 2020), alone or with the consistency of mixed passes.
    Augmix {
        /// w, 12 in the paper.
        weight: f64,
        /// c, 10 in the paper; if absent and the batch mixes, the single pass over all views is mixed.
        #[serde(default)]
        consistency: Option<f64>,
    },
    /// Mixup (Zhang et al. 2018).
    Mixup {
        /// λ ~ Beta(α, α).
        alpha: f64,
    },
    /// CutMix (Yun et al. 2019).
    Cutmix {
        /// λ ~ Beta(α, α), the area fraction that an image keeps.
        alpha: f64,
        /// The fraction of the batches that CutMix is applied to.
        probability: f64,
    },
    /// Adversarial training (Madry et al. 2018).
    Adversarial(Attack),
    /// Cross-entropy on batches of which a part has adversarial noise (Rusak et al. 2020), which a generator beside the network learns.
    AdversarialNoise(AdversarialNoise),
    /// FixMatch: training on a few labelled instances and many without a label.
    Fixmatch(FixMatch),
    /// Segmentation (Long et al. 2015, Zhao et al. 2017): the mean cross-entropy over the pixels that are not void, and that of
    /// the auxiliary head. A batch of void pixels alone has the loss 0.
    Segment {
        /// a, the weight of the auxiliary head, 0.4 as published.
        #[serde(default = "auxiliary")]
        auxiliary: f64,
    },
}

fn auxiliary() -> f64 {
    0.4
}

impl Objective {
    /// The number of views of each instance that a batch must have.
    pub fn views(&self) -> usize {
        match self {
            Self::Augmix { .. } => 3,
            Self::Fixmatch(_) => 2,
            _ => 1,
        }
    }

    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub fn check(&self) -> Result<()> {
        let positive = |name: &str, value: f64| match value.is_finite() && value > 0. {
            true => Ok(()),
            false => bail!("objective.{name} is {value}; a positive number is accepted"),
        };
        match *self {
            Self::Plain {} => Ok(()),
            Self::Consistency { weight } => positive("weight", weight),
            Self::Augmix { weight, consistency } => {
                positive("weight", weight)?;
                consistency.map_or(Ok(()), |weight| positive("consistency", weight))
            }
            Self::Mixup { alpha } => positive("alpha", alpha),
            Self::Cutmix { alpha, probability } => {
                if !(0. ..=1.).contains(&probability) {
                    bail!("objective.probability is {probability}; 0 to 1 is accepted")
                }
                positive("alpha", alpha)
            }
            Self::Fixmatch(fixmatch) => fixmatch.check(),
            Self::AdversarialNoise(noise) => noise.check(),
            Self::Segment { auxiliary } => match auxiliary.is_finite() && auxiliary >= 0. {
                true => Ok(()),
                false => bail!("objective.auxiliary is {auxiliary}; 0 or a positive number is accepted"),
            },
            Self::Adversarial(attack) => {
                positive("epsilon", attack.epsilon)?;
                positive("step", attack.step)?;
                match attack.low < attack.high {
                    true => Ok(()),
                    false => bail!("objective.low is {}, high is {}: low must be smaller", attack.low, attack.high),
                }
            }
        }
    }

    /// This objective with smoothed labels: `smoothing` of every example's weight is spread over all classes.
    pub fn smoothed(self, smoothing: f64) -> Loss {
        Loss { objective: self, smoothing }
    }

    /// The scalar loss of one batch; `seed` is the stream of the step.
    ///
    /// # Errors
    /// If the batch does not have [`views`](Self::views) views, or the network fails.
    pub fn loss(&self, network: &dyn Network, batch: &Batch, mix: Option<MixConfig>, seed: Seed) -> Result<Tensor> {
        self.smoothed(0.).loss(network, batch, mix, seed)
    }

    /// The cross-entropy of one batch in a given pass, in segmentation over the pixels that are not void.
    ///
    /// # Errors
    /// If the network fails.
    pub fn loss_in(&self, network: &dyn Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        self.smoothed(0.).loss_in(network, batch, pass)
    }
}

/// An objective with smoothed labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// The objective.
    pub objective: Objective,
    /// e, from 0 to 1: the labelled class has the target 1 − e + e/K, every other e/K (PyTorch's `label_smoothing`). Labels of pixels
    /// are never smoothed.
    pub smoothing: f64,
}

impl Loss {
    /// The scalar loss of one batch; `seed` is the stream of the step.
    ///
    /// # Errors
    /// If the batch does not have as many views as the objective takes, or the network fails.
    pub fn loss(&self, network: &dyn Network, batch: &Batch, mix: Option<MixConfig>, seed: Seed) -> Result<Tensor> {
        Ok(self.outcome(network, batch, mix, seed)?.loss)
    }

    /// As [`Loss::loss`], with what the step tells besides.
    ///
    /// # Errors
    /// As [`Loss::loss`].
    pub fn outcome(&self, network: &dyn Network, batch: &Batch, mix: Option<MixConfig>, seed: Seed) -> Result<Outcome> {
        let views = self.objective.views();
        if batch.views != views {
            bail!("the objective takes {views} view(s) of each instance, the data set gives {}", batch.views)
        }
        let mixes = mix.is_some_and(|mix| seed.named("coin").rng().random_bool(mix.probability.clamp(0., 1.)));
        let passes = Passes { network, batch, active: mix.map_or(0, |mix| mix.active), smoothing: self.smoothing, seed };
        let (xs, labels) = (&batch.inputs, &batch.labels);
        let once = if mixes { passes.mixed(0) } else { passes.clean() };
        let loss = match self.objective {
            Objective::Consistency { weight } if mixes => {
                let clean = network.forward(xs, &passes.clean())?;
                passes.cross_entropy(&clean, labels)? + passes.consistency(&clean, xs, weight)?
            }
            Objective::Plain {}
            | Objective::Consistency { .. }
            | Objective::AdversarialNoise(_)
            | Objective::Fixmatch(_)
            | Objective::Segment { .. } => {
                return self.outcome_in(network, batch, &once);
            }
            Objective::Augmix { weight, consistency } => {
                let pass = if consistency.is_some() { passes.clean() } else { once };
                let all = network.forward(xs, &pass)?;
                let n = labels.len();
                let [clean, one, two] = [all.narrow(0, 0, n)?, all.narrow(0, n, n)?, all.narrow(0, 2 * n, n)?];
                let loss = (passes.cross_entropy(&clean, labels)? + (jensen_shannon([&clean, &one, &two])? * weight)?)?;
                match consistency {
                    Some(weight) if mixes => loss + passes.consistency(&clean, &xs.narrow(0, 0, n)?, weight)?,
                    _ => Ok(loss),
                }
            }
            Objective::Mixup { alpha } => passes.blended(perturb::mixup(xs, alpha, seed.named("mixup"))?, &once),
            Objective::Cutmix { alpha, probability } => {
                passes.blended(perturb::cutmix(xs, alpha, probability, seed.named("cutmix"))?, &once)
            }
            Objective::Adversarial(attack) => {
                let loss = |xs: &Tensor| passes.cross_entropy(&network.forward(xs, &once)?, labels);
                loss(&attack.perturb(xs, seed.named("adversarial"), loss)?)
            }
        }?;
        Ok(Outcome { loss, told: Vec::new() })
    }

    /// The cross-entropy of one batch in a given pass, in segmentation over the pixels that are not void.
    ///
    /// # Errors
    /// If the network fails.
    pub fn loss_in(&self, network: &dyn Network, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        Ok(self.outcome_in(network, batch, pass)?.loss)
    }

    /// As [`Loss::loss_in`], with what the step tells besides; that of FixMatch is its whole loss.
    ///
    /// # Errors
    /// If the network fails.
    pub fn outcome_in(&self, network: &dyn Network, batch: &Batch, pass: &Pass) -> Result<Outcome> {
        let (xs, labels) = (&batch.inputs, &batch.labels);
        let told = Vec::new();
        match self.objective {
            Objective::Fixmatch(fixmatch) => {
                let scores = network.forward(xs, &pass.clone().mixing_among(FixMatch::mixing(batch)))?;
                let labelled = |scores: &Tensor| smoothed_cross_entropy(scores, labels, self.smoothing);
                let (loss, told) = fixmatch.loss(&scores, batch, labelled)?;
                Ok(Outcome { loss, told })
            }
            Objective::Segment { auxiliary } => {
                let (logits, other) = network.forward_auxiliary(xs, pass)?;
                if labels.iter().all(|&label| label == VOID) {
                    return Ok(Outcome { loss: (logits.sum_all()? * 0.)?, told });
                }
                let loss = cross_entropy(&logits, labels, Some(VOID))?;
                let loss = match other {
                    Some(other) => (loss + (cross_entropy(&other, labels, Some(VOID))? * auxiliary)?)?,
                    None => loss,
                };
                Ok(Outcome { loss, told })
            }
            _ => Ok(Outcome { loss: smoothed_cross_entropy(&network.forward(xs, pass)?, labels, self.smoothing)?, told }),
        }
    }
}

/// What a step gives.
pub struct Outcome {
    /// The scalar loss.
    pub loss: Tensor,
    /// What the objective tells besides, such as how many pseudo-labels there were; usually nothing.
    pub told: Vec<Told>,
}

/// The passes of one step.
struct Passes<'a> {
    network: &'a dyn Network,
    batch: &'a Batch,
    active: usize,
    smoothing: f64,
    seed: Seed,
}

impl Passes<'_> {
    fn cross_entropy(&self, logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
        smoothed_cross_entropy(logits, labels, self.smoothing)
    }

    fn clean(&self) -> Pass {
        self.batch.pass(Pass::train(self.seed.named("clean")))
    }

    fn mixed(&self, number: u64) -> Pass {
        self.batch.pass(Pass::mixing(self.network.sites(), self.active, self.seed.named("mixing").fold_in(number)))
    }

    /// weight·JS(clean, mixed 1, mixed 2).
    fn consistency(&self, clean: &Tensor, xs: &Tensor, weight: f64) -> Result<Tensor> {
        let one = self.network.forward(xs, &self.mixed(0))?;
        let two = self.network.forward(xs, &self.mixed(1))?;
        jensen_shannon([clean, &one, &two])? * weight
    }

    /// λ·CE(own label) + (1 − λ)·CE(partner's label).
    fn blended(&self, blend: perturb::Blend, pass: &Pass) -> Result<Tensor> {
        let logits = self.network.forward(&blend.inputs, pass)?;
        let labels = &self.batch.labels;
        let theirs: Vec<u32> = blend.partner.iter().map(|&i| labels[i]).collect();
        let own = (self.cross_entropy(&logits, labels)? * blend.lambda)?;
        own + (self.cross_entropy(&logits, &theirs)? * (1. - blend.lambda))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use sncn_core::loss::value;

    /// Scores of three classes: the means of the channels.
    struct Means;

    impl Network for Means {
        fn forward(&self, xs: &Tensor, _: &Pass) -> Result<Tensor> {
            xs.mean((1, 2))? * 3.
        }

        fn sites(&self) -> usize {
            0
        }
    }

    #[test]
    fn labels_are_smoothed_in_every_objective_of_examples() -> Result<()> {
        let objectives = [
            Objective::Plain {},
            Objective::Consistency { weight: 10. },
            Objective::Augmix { weight: 12., consistency: None },
            Objective::Augmix { weight: 12., consistency: Some(10.) },
            Objective::Mixup { alpha: 1. },
            Objective::Cutmix { alpha: 1., probability: 1. },
            // without steps the perturbation does not depend on the loss
            Objective::Adversarial(Attack { epsilon: 0.1, step: 0.1, steps: 0, low: -1., high: 1. }),
        ];
        for (objective, mix) in objectives.into_iter().flat_map(|one| [(one, 0.), (one, 1.)]) {
            let views = objective.views();
            // channels, and so scores, that differ from image to image
            let pixels =
                (0..views * 4 * 8 * 8 * 3).map(|i| (i * i % 23) as f64 / 46. + (i % 3) as f64 * (i / 192) as f64 / 24. - 0.9);
            let inputs = Tensor::from_iter(pixels, &Device::Cpu)?.to_dtype(DType::F64)?.reshape((views * 4, 8, 8, 3))?;
            let batch = Batch { views, ..Batch::new(inputs, vec![0, 2, 1, 1]) };
            let mix = Some(MixConfig { probability: mix, active: 1 });
            let loss = |smoothing: f64| value(&objective.smoothed(smoothing).loss(&Means, &batch, mix, Seed::new(7))?);
            // cross-entropy is linear in the target
            let (none, some, all) = (loss(0.)?, loss(0.3)?, loss(1.)?);
            assert!(
                (some - (0.7 * none + 0.3 * all)).abs() < 1e-12 && (none - all).abs() > 1e-4,
                "{objective:?}: {none} {some} {all}"
            );
            assert_eq!(none, value(&objective.loss(&Means, &batch, mix, Seed::new(7))?)?);
        }
        Ok(())
    }
}

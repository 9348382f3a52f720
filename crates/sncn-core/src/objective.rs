//! `Objective`: how passes of a batch become a loss.
//!
//! - plain: cross-entropy; with the coin, CrossNorm is active in that pass.
//! - consistency: with the coin, cross-entropy on the clean pass + w·JS(clean, mixed 1, mixed 2); else plain.

use crate::data::Batch;
use crate::loss::{cross_entropy, jensen_shannon};
use crate::{Network, Pass, Seed};
use candle_core::{Result, Tensor};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// When CrossNorm acts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixConfig {
    /// Probability of the coin, thrown once a batch.
    pub probability: f64,
    /// Sites of the network that act, drawn uniformly for each pass.
    pub active: usize,
}

/// The objective of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Objective {
    /// Cross-entropy.
    Plain {},
    /// Cross-entropy and Jensen–Shannon consistency of two mixed passes.
    Consistency {
        /// w, 10 in the paper.
        weight: f64,
    },
}

impl Objective {
    /// The loss of one batch; `seed` is the stream of the step.
    ///
    /// # Errors
    /// Where a shape does not fit.
    pub fn loss(&self, network: &dyn Network, batch: &Batch, mix: Option<MixConfig>, seed: Seed) -> Result<Tensor> {
        let heads = mix.is_some_and(|mix| seed.named("coin").rng().random_bool(mix.probability.clamp(0., 1.)));
        let mixed = |number: u64| {
            let active = mix.map_or(0, |mix| mix.active);
            Pass::mixing(network.sites(), active, seed.named("mixing").fold_in(number))
        };
        let clean = Pass::train(seed.named("clean"));
        match self {
            Objective::Consistency { weight } if heads => {
                let clean = network.forward(&batch.inputs, &clean)?;
                let one = network.forward(&batch.inputs, &mixed(0))?;
                let two = network.forward(&batch.inputs, &mixed(1))?;
                cross_entropy(&clean, &batch.labels, None)? + (jensen_shannon([&clean, &one, &two])? * *weight)?
            }
            _ => {
                let pass = if heads { mixed(0) } else { clean };
                cross_entropy(&network.forward(&batch.inputs, &pass)?, &batch.labels, None)
            }
        }
    }
}

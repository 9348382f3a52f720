//! The one training loop.
//!
//! Step k belongs to epoch k div steps-per-epoch. Order, augmentation and mixing come from the streams `order/<epoch>`,
//! `augment/<epoch>/<example>` and `step/<k>`, so a run resumed at step k does what an unbroken one would.

use crate::BoxError;
use crate::data::{DataError, Dataset};
use crate::objective::{MixConfig, Objective};
use crate::schedule::ScheduleConfig;
use candle_core::DType;
use candle_core::backprop::GradStore;
use sncn_core::optim::Optimizer;
use sncn_core::{Network, Seed, Vars};

/// How to train.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Examples a step.
    pub batch_size: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Base learning rate.
    pub lr: f64,
    /// Its course.
    pub schedule: ScheduleConfig,
    /// The loss.
    pub objective: Objective,
    /// When CrossNorm acts.
    pub mix: Option<MixConfig>,
    /// The run's seed.
    pub seed: Seed,
    /// Whether examples are augmented.
    pub augment: bool,
}

/// What happened in one step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
    /// Loss of this step.
    pub loss: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Examples of this step.
    pub examples: usize,
}

/// What the caller wants after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop here (a checkpoint was written).
    Stop,
}

/// Why training did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Parameters that the loss does not reach.
    #[error("no gradient reaches {}: the loss does not depend on them; remove the layer or put it on the path to the loss", .0.join(", "))]
    NoGradient(Vec<String>),
    /// The loss is not a number.
    #[error(
        "the loss of step {step} is {loss}: training stopped, the last checkpoint is kept; lower the learning rate and resume or start again"
    )]
    NotFinite {
        /// Number of the step, from 1.
        step: usize,
        /// The value.
        loss: f64,
    },
    /// There is nothing to train on.
    #[error("the training set is empty")]
    NoExamples,
    /// A batch would be empty.
    #[error("batch_size is 0; at least 1 is wanted")]
    NoBatch,
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network, its gradient or the optimiser failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The caller failed after a step, when it wrote a checkpoint, say.
    #[error(transparent)]
    Observer(BoxError),
}

/// Steps of one epoch.
pub fn steps_per_epoch(examples: usize, batch_size: usize) -> usize {
    (examples / batch_size.max(1)).max(1)
}

/// Trains from step `start` to the end, or until `observe` says stop; returns the steps done.
///
/// # Errors
/// Where a batch cannot be read, parameters get no gradient at the first step, or the loss is not finite.
pub fn train<E: Into<BoxError>>(
    network: &dyn Network,
    vars: &Vars,
    optimizer: &mut Optimizer,
    data: &dyn Dataset,
    recipe: &Recipe,
    start: usize,
    mut observe: impl FnMut(Step, &Optimizer) -> Result<Control, E>,
) -> Result<usize, TrainError> {
    if data.is_empty() {
        return Err(TrainError::NoExamples);
    }
    if recipe.batch_size == 0 {
        return Err(TrainError::NoBatch);
    }
    let steps = steps_per_epoch(data.len(), recipe.batch_size);
    let total = steps * recipe.epochs;
    let mut done = start;
    while done < total {
        let epoch = done / steps;
        let batches = data.batches(recipe.batch_size, epoch, recipe.seed);
        let augment = recipe.augment.then(|| recipe.seed.named("augment").fold_in(epoch as u64));
        for indices in batches.iter().skip(done % steps) {
            let batch = data.batch(indices, augment)?;
            let loss = recipe.objective.loss(network, &batch, recipe.mix, recipe.seed.named("step").fold_in(done as u64))?;
            let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step: done + 1, loss: value });
            }
            let grads = sncn_core::backward(&loss)?;
            if done == start {
                check_gradients(network, vars, &grads)?;
            }
            let lr = recipe.schedule.lr_at(done, total, steps, recipe.lr);
            optimizer.step(&grads, lr)?;
            done += 1;
            let step = Step { done, total, loss: value, lr, examples: indices.len() };
            if observe(step, optimizer).map_err(|error| TrainError::Observer(error.into()))? == Control::Stop {
                return Ok(done);
            }
        }
    }
    Ok(done)
}

/// Refuses a step in which a trainable variable received no gradient, but for those that the network declares.
fn check_gradients(network: &dyn Network, vars: &Vars, grads: &GradStore) -> Result<(), TrainError> {
    let declared = |name: &str| network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
    let without = vars.trainable().into_iter().filter(|(_, var)| grads.get(var.as_tensor()).is_none()).map(|(name, _)| name);
    let without: Vec<String> = without.filter(|name| !declared(name)).collect();
    if without.is_empty() { Ok(()) } else { Err(TrainError::NoGradient(without)) }
}

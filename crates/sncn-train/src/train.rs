//! The training loop.
//!
//! Step k belongs to epoch k div steps-per-epoch. Order, augmentation and mixing draw from the streams `order/<epoch>`,
//! `augment/<epoch>/<example>` and `step/<k>`, so a run that is resumed at step k gives the same results as an uninterrupted one.

use crate::BoxError;
use crate::data::{DataError, Dataset};
use crate::objective::{MixConfig, Objective};
use crate::schedule::ScheduleConfig;
use candle_core::DType;
use candle_core::backprop::GradStore;
use sncn_core::optim::Optimizer;
use sncn_core::{Network, Seed, Vars};

/// The settings of training.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Examples per step.
    pub batch_size: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// The base learning rate.
    pub lr: f64,
    /// The learning-rate schedule.
    pub schedule: ScheduleConfig,
    /// The loss.
    pub objective: Objective,
    /// When layers that mix instances are active; `None`: never.
    pub mix: Option<MixConfig>,
    /// The run's seed.
    pub seed: Seed,
    /// Whether examples are augmented.
    pub augment: bool,
}

/// A report of one training step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The number of steps done, this one included.
    pub done: usize,
    /// The number of steps of the whole run.
    pub total: usize,
    /// The loss of this step.
    pub loss: f64,
    /// The learning rate of this step.
    pub lr: f64,
    /// The number of examples in this step.
    pub examples: usize,
}

/// The caller's decision after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Continue.
    Continue,
    /// Stop; the caller has written a checkpoint.
    Stop,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Parameters that get no gradient.
    #[error("no gradient reaches {}: the loss does not depend on them; remove the layer or put it on the path to the loss", .0.join(", "))]
    NoGradient(Vec<String>),
    /// The loss is not finite.
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
    /// The batch size is 0.
    #[error("batch_size is 0; expected at least 1")]
    NoBatch,
    /// A batch could not be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network, its gradient or the optimiser failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The caller's callback failed after a step, for example when writing a checkpoint.
    #[error(transparent)]
    Observer(BoxError),
}

/// The number of steps in one epoch.
pub fn steps_per_epoch(examples: usize, batch_size: usize) -> usize {
    (examples / batch_size.max(1)).max(1)
}

/// Trains from step `start` to the end, or until `observe`, which is called after every step, returns [`Control::Stop`]; returns
/// the number of steps done.
///
/// # Errors
/// If a batch cannot be read, parameters get no gradient in the first step, the loss is not finite, or `observe` fails.
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

/// Checks that every trainable variable has a gradient, except those that the network declares as unreached.
fn check_gradients(network: &dyn Network, vars: &Vars, grads: &GradStore) -> Result<(), TrainError> {
    let declared = |name: &str| network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
    let without = vars.trainable().into_iter().filter(|(_, var)| grads.get(var.as_tensor()).is_none()).map(|(name, _)| name);
    let without: Vec<String> = without.filter(|name| !declared(name)).collect();
    if without.is_empty() { Ok(()) } else { Err(TrainError::NoGradient(without)) }
}

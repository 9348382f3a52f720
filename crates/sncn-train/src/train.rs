//! The training loop.
//!
//! A step takes the mean gradient of one batch or, where gradients accumulate, of several: BatchNorm's statistics, mixing and
//! perturbations belong to each batch by itself. What is left at the end of an epoch is a step of fewer batches, and the mean is over
//! these. The learning-rate schedule, checkpoints and averages of weights count steps.
//!
//! Step k belongs to epoch k div steps-per-epoch. Order, augmentation and mixing draw from the streams `order/<epoch>`,
//! `augment/<epoch>/<example>` and `step/<b>`, where b counts the batches of the run, so a run that is resumed at a step gives the same
//! results as an uninterrupted one.

use crate::BoxError;
use crate::ahead::read_ahead;
use crate::data::{Batch, DataError, Dataset};
use crate::learner::Learner;
use crate::objective::{Loss, MixConfig, Outcome};
use crate::schedule::ScheduleConfig;
use crate::train_error::TrainError;
use candle_core::DType;
use candle_core::backprop::GradStore;
use sncn_core::{Network, Seed, Vars};
use sncn_record::checkpoint::Told;
use std::ops::Range;

/// The settings of training.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Examples per batch.
    pub batch_size: usize,
    /// Batches per step.
    pub accumulate: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// The base learning rate.
    pub lr: f64,
    /// The learning-rate schedule.
    pub schedule: ScheduleConfig,
    /// The loss.
    pub objective: Loss,
    /// When layers that mix instances are active; `None`: never.
    pub mix: Option<MixConfig>,
    /// The run's seed.
    pub seed: Seed,
    /// Whether examples are augmented.
    pub augment: bool,
}

/// A report of one training step.
#[derive(Clone, Debug)]
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
    /// What the objective told in this step.
    pub told: Vec<Told>,
}

/// The gradient of one step.
pub(crate) struct Gradient {
    /// The mean loss.
    pub(crate) loss: f64,
    pub(crate) grads: GradStore,
    /// The number of labelled examples.
    pub(crate) examples: usize,
    pub(crate) told: Vec<Told>,
}

/// The caller's decision after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Continue.
    Continue,
    /// Stop; the caller has written a checkpoint.
    Stop,
}

impl Recipe {
    /// The number of batches in one epoch of so many examples.
    fn batches_per_epoch(&self, examples: usize) -> usize {
        (examples / self.batch_size.max(1)).max(1)
    }

    /// The number of steps in one epoch of so many examples.
    pub(crate) fn steps_per_epoch(&self, examples: usize) -> usize {
        self.batches_per_epoch(examples).div_ceil(self.accumulate.max(1))
    }

    /// Has what is trained beside the network prepare for an epoch, on batches of an order of its own.
    fn begin_epoch(&self, learner: &mut Learner<'_>, data: &dyn Dataset, epoch: usize) -> Result<(), TrainError> {
        let Learner { network, companion: Some(companion), .. } = learner else { return Ok(()) };
        let seed = self.seed.named("companion").fold_in(epoch as u64);
        let orders = (0..).flat_map(|round| {
            let augment = self.augment.then(|| seed.named("augment").fold_in(round as u64));
            data.batches(self.batch_size, round, seed).into_iter().map(move |indices| (indices, augment))
        });
        read_ahead(data, orders, |batches| companion.begin_epoch(epoch, *network, batches, seed))
    }

    /// The mean loss of the next batches, which have these numbers in the run, its gradient, and what was told.
    ///
    /// # Errors
    /// If a batch cannot be read, the network fails, or a loss is not finite (`step` is the number that the error names).
    pub(crate) fn gradient(
        &self,
        learner: &mut Learner<'_>,
        batches: &mut dyn Iterator<Item = Result<Batch, DataError>>,
        numbers: Range<usize>,
        step: usize,
    ) -> Result<Gradient, TrainError> {
        let (count, mut mean, mut sum, mut examples) = (numbers.len().max(1) as f64, 0., None, 0);
        let mut all = Vec::new();
        for number in numbers {
            let batch = batches.next().ok_or(TrainError::NoExamples)??;
            examples += batch.labels.len();
            let seed = self.seed.named("step").fold_in(number as u64);
            let (batch, beside) = learner.changed(batch, seed)?;
            let Outcome { loss, told } = self.objective.outcome(learner.network, &batch, self.mix, seed)?;
            all.extend(beside.into_iter().chain(told));
            let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            if !value.is_finite() {
                return Err(TrainError::NotFinite { step, loss: value });
            }
            mean += value / count;
            let loss = if count > 1. { (loss / count)? } else { loss };
            sum = Some(added(learner.vars, sum, sncn_core::backward(&loss)?)?);
        }
        Ok(Gradient { loss: mean, grads: sum.ok_or(TrainError::NoExamples)?, examples, told: all })
    }
}

/// The gradients of all variables in both stores, added.
fn added(vars: &Vars, sum: Option<GradStore>, mut more: GradStore) -> candle_core::Result<GradStore> {
    let Some(mut sum) = sum else { return Ok(more) };
    for (_, var) in vars.trainable() {
        let Some(gradient) = more.remove(var.as_tensor()) else { continue };
        let gradient = match sum.remove(var.as_tensor()) {
            Some(held) => (held + gradient)?,
            None => gradient,
        };
        sum.insert(var.as_tensor(), gradient);
    }
    Ok(sum)
}

/// Trains from step `start` to the end, or until `observe`, which is called after every step, returns [`Control::Stop`]; returns
/// the number of steps done.
///
/// # Errors
/// If a batch cannot be read, parameters get no gradient in the first step, the loss is not finite, or `observe` fails.
pub fn train<E: Into<BoxError>>(
    learner: &mut Learner<'_>,
    data: &dyn Dataset,
    recipe: &Recipe,
    start: usize,
    mut observe: impl FnMut(Step, &Learner<'_>) -> Result<Control, E>,
) -> Result<usize, TrainError> {
    if data.is_empty() {
        return Err(TrainError::NoExamples);
    }
    let Recipe { batch_size, accumulate, .. } = *recipe;
    if batch_size == 0 || accumulate == 0 {
        return Err(TrainError::NoBatch { batch_size, accumulate });
    }
    let (steps, in_epoch) = (recipe.steps_per_epoch(data.len()), recipe.batches_per_epoch(data.len()));
    let total = steps * recipe.epochs;
    let orders = (start / steps..recipe.epochs).flat_map(|epoch| {
        let augment = recipe.augment.then(|| recipe.seed.named("augment").fold_in(epoch as u64));
        let done = if epoch == start / steps { start % steps * accumulate } else { 0 };
        data.batches(batch_size, epoch, recipe.seed).into_iter().skip(done).map(move |indices| (indices, augment))
    });
    read_ahead(data, orders, |batches| {
        for done in start..total {
            let (epoch, group) = (done / steps, done % steps);
            let numbers = epoch * in_epoch + group * accumulate..epoch * in_epoch + in_epoch.min((group + 1) * accumulate);
            if group == 0 {
                recipe.begin_epoch(learner, data, epoch)?;
            }
            let Gradient { loss, grads, examples, told } = recipe.gradient(learner, batches, numbers, done + 1)?;
            if done == start {
                check_gradients(learner.network, learner.vars, &grads)?;
            }
            let lr = recipe.schedule.lr_at(done, total, steps, recipe.lr);
            learner.optimizer.step(&grads, lr)?;
            let step = Step { done: done + 1, total, loss, lr, examples, told };
            if observe(step, learner).map_err(|error| TrainError::Observer(error.into()))? == Control::Stop {
                return Ok(done + 1);
            }
        }
        Ok(total.max(start))
    })
}

/// Checks that every trainable variable has a gradient, except those that the network declares as unreached.
fn check_gradients(network: &dyn Network, vars: &Vars, grads: &GradStore) -> Result<(), TrainError> {
    let declared = |name: &str| network.unused_parameters().iter().any(|prefix| name.starts_with(prefix));
    let without = vars.trainable().into_iter().filter(|(_, var)| grads.get(var.as_tensor()).is_none()).map(|(name, _)| name);
    let without: Vec<String> = without.filter(|name| !declared(name)).collect();
    if without.is_empty() { Ok(()) } else { Err(TrainError::NoGradient(without)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::Objective;
    use candle_core::{Device, Tensor};
    use sncn_core::Pass;
    use sncn_core::optim::{Optimizer, OptimizerConfig};

    /// A linear classifier of three classes; with `centred`, on what is left of the inputs without their mean over the batch.
    struct Linear {
        weight: Tensor,
        centred: bool,
    }

    impl Network for Linear {
        fn forward(&self, xs: &Tensor, _: &Pass) -> candle_core::Result<Tensor> {
            match self.centred {
                true => xs.broadcast_sub(&xs.mean_keepdim(0)?)?.matmul(&self.weight),
                false => xs.matmul(&self.weight),
            }
        }

        fn sites(&self) -> usize {
            0
        }
    }

    /// So many examples of four values.
    struct Numbers(usize);

    impl Dataset for Numbers {
        fn len(&self) -> usize {
            self.0
        }

        fn batch(&self, indices: &[usize], _: Option<Seed>) -> Result<Batch, DataError> {
            let values = indices.iter().flat_map(|&i| (0..4).map(move |k| ((i * 7 + k * 3) % 11) as f64 / 11.));
            let inputs = Tensor::from_iter(values, &Device::Cpu)?.reshape((indices.len(), 4))?;
            let labels = indices.iter().map(|&i| (i % 3) as u32).collect();
            Ok(Batch::new(inputs, labels))
        }
    }

    fn linear(centred: bool) -> candle_core::Result<(Linear, Vars)> {
        let vars = Vars::new(Seed::new(1), DType::F64, &Device::Cpu);
        let weight = vars.builder().get((4, 3), "weight")?;
        vars.all()[0].1.set(&Tensor::from_iter((0..12).map(|i| f64::from(i % 5) - 2.), &Device::Cpu)?.reshape((4, 3))?)?;
        Ok((Linear { weight, centred }, vars))
    }

    fn learner<'a>(network: &'a Linear, vars: &'a Vars) -> Learner<'a> {
        let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0. };
        Learner::new(network, vars, Optimizer::new(config, vars.trainable()).unwrap())
    }

    fn recipe(batch_size: usize, accumulate: usize, objective: Objective) -> Recipe {
        let (schedule, objective) = (ScheduleConfig::Cosine { floor: 0. }, objective.smoothed(0.1));
        Recipe { batch_size, accumulate, epochs: 2, lr: 0.1, schedule, objective, mix: None, seed: Seed::new(5), augment: false }
    }

    /// The mean loss and gradient of batches that begin as number `first` of the run.
    fn gradient(centred: bool, recipe: &Recipe, batches: &[Vec<usize>], first: usize) -> (f64, Vec<f64>) {
        let (network, vars) = linear(centred).unwrap();
        let mut read = batches.iter().map(|indices| Numbers(12).batch(indices, None));
        let Gradient { loss, grads, examples, .. } =
            recipe.gradient(&mut learner(&network, &vars), &mut read, first..first + batches.len(), 1).unwrap();
        assert_eq!(examples, batches.concat().len());
        let gradient = grads.get(&network.weight).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        (loss, gradient)
    }

    fn near(a: &(f64, Vec<f64>), b: &(f64, Vec<f64>)) -> bool {
        (a.0 - b.0).abs() < 1e-14 && a.1.iter().zip(&b.1).all(|(a, b)| (a - b).abs() < 1e-14)
    }

    #[test]
    fn the_gradient_of_several_batches_is_their_mean() {
        let parts: Vec<Vec<usize>> = vec![vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]];
        for objective in [Objective::Plain {}, Objective::Mixup { alpha: 1. }] {
            for centred in [false, true] {
                let recipe = recipe(3, 3, objective);
                let together = gradient(centred, &recipe, &parts, 6);
                let alone = (0..3).map(|at| gradient(centred, &recipe, &parts[at..=at], 6 + at)).collect::<Vec<_>>();
                let loss = alone.iter().map(|one| one.0).sum::<f64>() / 3.;
                let want = (loss, (0..12).map(|at| alone.iter().map(|one| one.1[at]).sum::<f64>() / 3.).collect());
                assert!(near(&together, &want), "{objective:?}: {together:?} is not {want:?}");
                // one large batch gives the same where nothing is shared within a batch, and not otherwise
                let whole = gradient(centred, &recipe, &[parts.concat()], 6);
                assert_eq!(near(&together, &whole), objective == Objective::Plain {} && !centred, "{objective:?} {centred}");
            }
        }
    }

    #[test]
    fn what_is_left_of_an_epoch_is_a_step_of_fewer_batches() {
        let (network, vars) = linear(false).unwrap();
        // 23 examples: 7 batches of 3, in groups of 3, 3 and 1
        let recipe = recipe(3, 3, Objective::Plain {});
        let run = |start: usize, learner: &mut Learner<'_>| {
            let mut steps = Vec::new();
            let observe = |step: Step, _: &Learner<'_>| {
                steps.push((step.done, step.total, step.examples, step.lr));
                Ok::<_, BoxError>(if step.done == 2 && start == 0 { Control::Stop } else { Control::Continue })
            };
            train(learner, &Numbers(23), &recipe, start, observe).unwrap();
            steps
        };
        let mut learner = learner(&network, &vars);
        let mut steps = run(0, &mut learner);
        steps.extend(run(2, &mut learner));
        let examples: Vec<usize> = steps.iter().map(|step| step.2).collect();
        assert_eq!(examples, [9, 9, 3, 9, 9, 3]);
        assert!(steps.iter().enumerate().all(|(at, step)| (step.0, step.1) == (at + 1, 6)), "{steps:?}");
        assert_eq!(
            steps.iter().map(|step| step.3).collect::<Vec<_>>(),
            (0..6).map(|k| recipe.schedule.lr_at(k, 6, 3, 0.1)).collect::<Vec<_>>()
        );
        let none = Recipe { accumulate: 0, ..recipe };
        let error = train(&mut learner, &Numbers(9), &none, 0, |_, _| Ok::<_, BoxError>(Control::Stop));
        assert!(error.unwrap_err().to_string().contains("accumulate is 0"));
    }
}

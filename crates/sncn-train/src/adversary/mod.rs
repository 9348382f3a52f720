//! Adversarial noise training (Rusak et al. 2020, arXiv:2001.06057): a generator learns noise of a given size that misleads the network,
//! and half of every batch of the network gets such noise.
//!
//! For each batch the generator takes a step that raises the network's loss in an evaluation pass. Then the first part of the batch gets
//! noise of this generator, and a tenth each of those of earlier epochs, drawn at random (experience replay), until half the batch is noisy.
//! Before every epoch the generator is kept and a new one is trained from the beginning against the network as it is.

mod generator;

use crate::data::{Batch, ValueRange};
use crate::learner::{Batches, Companion};
use crate::noise::project;
use crate::train_error::TrainError;
use candle_core::{DType, Device, Result, Tensor, bail};
use generator::Generator;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sncn_core::loss::{cross_entropy, value};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Network, Pass, Seed, Vars, backward};
use sncn_record::checkpoint::Told;
use std::collections::HashMap;

/// The settings of adversarial noise; the defaults are those published for ImageNet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialNoise {
    /// The root mean square of the noise, as a fraction of the range of values: ε = `size`·√(number of values), 135 for 3 × 224 × 224.
    pub size: f64,
    /// Side of the window of the generator's second convolution, 1 or 3.
    pub window: usize,
    /// The learning rate of the generator's steps beside the network's (Adam).
    pub lr: f64,
    /// Steps of a new generator before its epoch.
    pub new_steps: usize,
    /// The learning rate of these (Adam).
    pub new_lr: f64,
    /// The fraction of a batch that gets noise.
    pub noisy: f64,
    /// The fraction of a batch that gets that of the generator of this epoch; in the first epoch it gives all noise.
    pub current: f64,
    /// The fraction of a batch that gets that of one earlier generator.
    pub earlier: f64,
}

impl Default for AdversarialNoise {
    fn default() -> Self {
        Self { size: 0.348, window: 1, lr: 1e-4, new_steps: 1000, new_lr: 5e-4, noisy: 0.5, current: 0.3, earlier: 0.1 }
    }
}

/// What the training tells: the share of images with the generator's noise that the network, in an evaluation pass, gets right, and the
/// share of noisy images whose noise has the size that was asked for (others are at the ends of the range everywhere).
pub const TOLD: [&str; 2] = ["noisy_accuracy", "full_noise"];

impl AdversarialNoise {
    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in [("size", self.size), ("lr", self.lr), ("new_lr", self.new_lr), ("earlier", self.earlier)] {
            if !(value.is_finite() && value > 0.) {
                bail!("objective.{name} is {value}; a positive number is accepted")
            }
        }
        for (name, value) in [("noisy", self.noisy), ("current", self.current), ("earlier", self.earlier)] {
            if !(0. ..=1.).contains(&value) {
                bail!("objective.{name} is {value}; 0 to 1 is accepted")
            }
        }
        if ![1, 3].contains(&self.window) {
            bail!("objective.window is {}; 1 or 3 is accepted", self.window)
        }
        Ok(())
    }

    /// The generators that a batch of so many instances gets noise from, and how many get that of each: `None` is the current one.
    fn shares(&self, batch: usize, earlier: usize, seed: Seed) -> Vec<(Option<usize>, usize)> {
        let part = |fraction: f64| (fraction * batch as f64).round() as usize;
        let noisy = part(self.noisy);
        if earlier == 0 {
            return vec![(None, noisy)];
        }
        let first = part(self.current).min(noisy);
        let (mut shares, mut left, mut rng) = (vec![(None, first)], noisy - first, seed.rng());
        while left > 0 {
            let count = part(self.earlier).clamp(1, left);
            shares.push((Some(rng.random_range(0..earlier)), count));
            left -= count;
        }
        shares
    }
}

/// A generator in training.
struct Trained {
    generator: Generator,
    vars: Vars,
    optimizer: Optimizer,
}

impl Trained {
    fn new(window: usize, channels: usize, seed: Seed) -> Result<Self> {
        let vars = Vars::new(seed, DType::F32, &Device::Cpu);
        let generator = Generator::new(window, channels, &vars)?;
        let adam = OptimizerConfig::Adam { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0. };
        Ok(Self { generator, optimizer: Optimizer::new(adam, vars.trainable())?, vars })
    }
}

/// The generators of a run.
pub struct Adversary {
    settings: AdversarialNoise,
    range: ValueRange,
    current: Trained,
    earlier: Vec<Generator>,
}

/// Prefixes of the names of the state.
const CURRENT: &str = "current.";
const OPTIMIZER: &str = "optimizer.";
const EARLIER: &str = "earlier.";

impl Adversary {
    /// Generators for inputs (N, H, W, C) whose values have this range.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(settings: AdversarialNoise, range: ValueRange) -> Result<Self> {
        settings.check()?;
        let current = Trained::new(settings.window, range.channels(), Seed::new(0))?;
        Ok(Self { settings, range, current, earlier: Vec::new() })
    }

    /// Inputs with noise of this generator, and how many have all the noise that was asked for.
    fn noisy(&self, generator: &Generator, xs: &Tensor, seed: Seed) -> Result<(Tensor, usize)> {
        let (count, height, width, channels) = xs.dims4()?;
        let noise = generator.noise(count, (height, width, channels), seed)?.to_dtype(xs.dtype())?;
        let epsilon = self.settings.size * ((height * width * channels) as f64).sqrt();
        let found = project(&self.range.fractions(xs)?, &noise, epsilon)?;
        Ok((self.range.values(&found.images)?, found.reached.iter().filter(|reached| **reached).count()))
    }

    /// A step of the current generator that raises the network's loss; tells how many instances the network gets right nevertheless, and
    /// the loss.
    fn step(&mut self, network: &dyn Network, batch: &Batch, lr: f64, seed: Seed) -> Result<(usize, f64)> {
        let (xs, _) = self.noisy(&self.current.generator, &batch.inputs.detach(), seed)?;
        let scores = network.forward(&xs, &batch.pass(Pass::eval().with_backward()))?;
        let loss = cross_entropy(&scores, &batch.labels, None)?;
        let found = value(&loss)?;
        if found.is_finite() {
            self.current.optimizer.step(&backward(&loss.neg()?)?, lr)?;
        }
        let likeliest = scores.detach().argmax(1)?.to_vec1::<u32>()?;
        Ok((likeliest.iter().zip(&batch.labels).filter(|(found, label)| found == label).count(), found))
    }
}

impl Companion for Adversary {
    fn begin_epoch(
        &mut self,
        epoch: usize,
        network: &dyn Network,
        batches: Batches<'_>,
        seed: Seed,
    ) -> std::result::Result<(), TrainError> {
        let (window, channels) = (self.settings.window, self.range.channels());
        let old = std::mem::replace(&mut self.current, Trained::new(window, channels, seed)?);
        if epoch > 0 {
            self.earlier.push(old.generator.detached());
        }
        for at in 0..self.settings.new_steps {
            let batch = batches.next().ok_or(TrainError::NoExamples)??;
            let (_, loss) = self.step(network, &batch, self.settings.new_lr, seed.fold_in(at as u64))?;
            if !loss.is_finite() {
                return Err(TrainError::NotFiniteBeside { epoch: epoch + 1, loss });
            }
        }
        Ok(())
    }

    fn change(&mut self, network: &dyn Network, batch: Batch, seed: Seed) -> Result<(Batch, Vec<Told>)> {
        let (right, _) = self.step(network, &batch, self.settings.lr, seed.named("generator"))?;
        let count = batch.labels.len();
        let shares = self.settings.shares(count, self.earlier.len(), seed.named("replay"));
        let (mut parts, mut at, mut full) = (Vec::new(), 0, 0);
        for (number, &(earlier, share)) in shares.iter().enumerate().filter(|(_, (_, share))| *share > 0) {
            let generator = earlier.map_or(&self.current.generator, |earlier| &self.earlier[earlier]);
            let xs = batch.inputs.narrow(0, at, share)?;
            let (noisy, reached) = self.noisy(generator, &xs, seed.named("noise").fold_in(number as u64))?;
            parts.push(noisy.detach());
            (at, full) = (at + share, full + reached);
        }
        if at < count {
            parts.push(batch.inputs.narrow(0, at, count - at)?);
        }
        let told = [(right, count), (full, at)];
        let told = TOLD.into_iter().zip(told).map(|(name, (sum, count))| Told {
            name: name.to_string(),
            sum: sum as f64,
            count: count as f64,
        });
        Ok((Batch { inputs: Tensor::cat(&parts, 0)?, ..batch }, told.collect()))
    }

    fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let named = |prefix: String, tensors: Vec<(String, Tensor)>| {
            tensors.into_iter().map(move |(name, tensor)| (format!("{prefix}{name}"), tensor))
        };
        let mut state: Vec<_> = named(CURRENT.to_string(), self.current.generator.named()).collect();
        state.extend(named(OPTIMIZER.to_string(), self.current.optimizer.state()?));
        for (at, one) in self.earlier.iter().enumerate() {
            state.extend(named(format!("{EARLIER}{at}."), one.named()));
        }
        Ok(state)
    }

    fn load_state(&mut self, state: HashMap<String, Tensor>) -> Result<()> {
        let (window, channels) = (self.settings.window, self.range.channels());
        self.current.vars.load(|name| state.get(&format!("{CURRENT}{name}")).cloned())?;
        let of_optimizer =
            state.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(OPTIMIZER)?.to_string(), tensor.clone())));
        self.current.optimizer.load_state(of_optimizer.collect())?;
        self.earlier.clear();
        while state.keys().any(|name| name.starts_with(&format!("{EARLIER}{}.", self.earlier.len()))) {
            let at = self.earlier.len();
            let get = |name: &str| state.get(&format!("{EARLIER}{at}.{name}")).cloned();
            self.earlier.push(Generator::copied(window, channels, get)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of two classes by the mean of an image's values, which noise that is not centred changes.
    struct Brightness;

    impl Network for Brightness {
        fn forward(&self, xs: &Tensor, _: &Pass) -> Result<Tensor> {
            let mean = xs.mean((1, 2, 3))?.unsqueeze(1)?;
            Tensor::cat(&[mean.affine(20., 0.)?, mean.affine(-20., 0.)?], 1)
        }

        fn sites(&self) -> usize {
            0
        }
    }

    fn batch() -> Result<Batch> {
        let values = (0..10 * 4 * 4 * 3).map(|i| if i / 48 % 2 == 0 { 0.3f32 } else { -0.3 } + (i % 7) as f32 / 100.);
        let inputs = Tensor::from_iter(values, &Device::Cpu)?.reshape((10, 4, 4, 3))?;
        Ok(Batch::new(inputs, (0..10).map(|i| i % 2).collect()))
    }

    fn settings() -> AdversarialNoise {
        AdversarialNoise { size: 0.2, new_steps: 150, new_lr: 0.02, ..AdversarialNoise::default() }
    }

    fn adversary(settings: AdversarialNoise) -> Adversary {
        Adversary::new(settings, ValueRange { low: vec![-1.; 3], high: vec![1.; 3] }).unwrap()
    }

    fn begin(adversary: &mut Adversary, epoch: usize) -> std::result::Result<(), TrainError> {
        adversary.begin_epoch(epoch, &Brightness, &mut std::iter::repeat_with(|| Ok(batch()?)), Seed::new(epoch as u64))
    }

    #[test]
    fn noise_is_learnt_that_misleads_and_half_a_batch_gets_it() {
        let mut adversary = adversary(settings());
        let told = |told: &[Told], name: &str| told.iter().find(|one| one.name == name).and_then(Told::mean).unwrap();
        let (_, before) = adversary.change(&Brightness, batch().unwrap(), Seed::new(3)).unwrap();
        begin(&mut adversary, 0).unwrap();
        let (changed, after) = adversary.change(&Brightness, batch().unwrap(), Seed::new(3)).unwrap();
        assert_eq!(told(&before, "noisy_accuracy"), 1.);
        assert!(told(&after, "noisy_accuracy") <= 0.6, "{after:?}");
        let moved = (&changed.inputs - batch().unwrap().inputs).unwrap().reshape((10, 48)).unwrap();
        let moved = moved.sqr().unwrap().mean(1).unwrap().sqrt().unwrap().to_vec1::<f32>().unwrap();
        // the range is 2 wide
        assert!(
            moved[..5].iter().all(|size| (size - 0.4).abs() < 1e-3) && moved[5..].iter().all(|size| *size == 0.),
            "{moved:?}"
        );
        let values = changed.inputs.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|value| (-1. ..=1.).contains(value)));
        assert_eq!(told(&after, "full_noise"), 1.);
    }

    #[test]
    fn earlier_generators_are_kept_and_the_state_says_everything() {
        let few = AdversarialNoise { new_steps: 2, ..settings() };
        let mut first = adversary(few);
        (0..3).for_each(|epoch| begin(&mut first, epoch).unwrap());
        assert_eq!(first.earlier.len(), 2);
        let mut second = adversary(few);
        second.load_state(first.state().unwrap().into_iter().collect()).unwrap();
        for seed in 0..3 {
            let of = |one: &mut Adversary| {
                let (batch, _) = one.change(&Brightness, batch().unwrap(), Seed::new(seed)).unwrap();
                batch.inputs.flatten_all().unwrap().to_vec1::<f32>().unwrap()
            };
            assert_eq!(of(&mut first), of(&mut second));
        }
        assert!(
            adversary(AdversarialNoise { window: 3, ..few }).load_state(first.state().unwrap().into_iter().collect()).is_err()
        );
    }

    #[test]
    fn shares_add_up_to_half_a_batch() {
        let settings = AdversarialNoise::default();
        for batch in [1, 2, 7, 64, 70] {
            for earlier in [0, 1, 4] {
                let shares = settings.shares(batch, earlier, Seed::new(1));
                let sum: usize = shares.iter().map(|(_, share)| share).sum();
                assert_eq!(sum, (batch as f64 / 2.).round() as usize, "{batch} {earlier}: {shares:?}");
                assert!(shares.iter().all(|(from, _)| from.is_none_or(|from| from < earlier)));
            }
        }
        let shares = settings.shares(70, 4, Seed::new(1));
        assert_eq!(shares.iter().map(|(_, share)| *share).collect::<Vec<_>>(), [21, 7, 7]);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let said = |settings: AdversarialNoise| settings.check().unwrap_err().to_string();
        let usual = AdversarialNoise::default();
        assert!(said(AdversarialNoise { window: 2, ..usual }).contains("objective.window is 2; 1 or 3 is accepted"));
        assert!(said(AdversarialNoise { size: 0., ..usual }).contains("objective.size is 0; a positive number is accepted"));
        assert!(said(AdversarialNoise { noisy: 1.5, ..usual }).contains("objective.noisy is 1.5; 0 to 1 is accepted"));
        assert!(usual.check().is_ok());
    }
}

//! `Trainer`: a network with a batch, and its training step.

use crate::backbone::{self, Blueprint};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{CrossNormDraw, LayerConfig, Network, Pass, Seed, Vars};
use sncn_train::data::Batch;
use sncn_train::objective::Objective;

/// Images of a step.
pub(super) const BATCH: usize = 128;

/// A network, a batch, and its optimiser.
pub(super) struct Trainer {
    pub(super) network: Box<dyn Network>,
    pub(super) vars: Vars,
    pub(super) optimizer: Optimizer,
    pub(super) batch: Batch,
    pub(super) objective: Objective,
    pub(super) lr: f64,
}

impl Trainer {
    /// A network with CrossNorm and SelfNorm at one position of every block, a batch of 128.
    pub(super) fn new(backbone: &str, at: &str) -> Result<Self> {
        Self::with(backbone, &["crossnorm", "selfnorm"].map(|kind| LayerConfig::new(kind, at)))
    }

    /// A network with these layers, a batch of 128.
    pub(super) fn with(backbone: &str, layers: &[LayerConfig]) -> Result<Self> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let network = backbone::build(backbone, &Blueprint { classes: 10, layers: layers.into(), vars: &vars })?;
        let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
        let optimizer = Optimizer::new(config, vars.trainable())?;
        let inputs = random(&[BATCH, 32, 32, 3], "images")?;
        let batch = Batch::new(inputs, (0..BATCH as u32).map(|i| i % 10).collect());
        Ok(Self { network, vars, optimizer, batch, objective: Objective::Plain {}, lr: 0.1 })
    }

    /// A training step in which CrossNorm acts at these sites.
    pub(super) fn step(&mut self, sites: &[usize]) -> Result<()> {
        self.step_in(&Pass::with_draws(sites.iter().map(|&site| (site, partners(BATCH))), Seed::new(1)))
    }

    /// A training step in this pass.
    pub(super) fn step_in(&mut self, pass: &Pass) -> Result<()> {
        let loss = self.objective.loss_in(&*self.network, &self.batch, pass)?;
        Ok(self.optimizer.step(&sncn_core::backward(&loss)?, self.lr)?)
    }
}

/// Every instance takes the statistics of another.
pub(super) fn partners(n: usize) -> CrossNormDraw {
    CrossNormDraw { partner: (0..n).map(|i| (i * 5 + 2) % n).collect(), channels: None, style: None, content: None, blend: None }
}

pub(super) fn random(shape: &[usize], name: &str) -> Result<Tensor> {
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    Ok(vars.builder().get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 1. })?.detach())
}

//! Figures of networks for photographs of 224 × 224 pixels and 1000 classes: training and inference.

use super::trainer::{Trainer, random};
use super::work::{lite, resnet};
use crate::backbone::{self, Blueprint};
use anyhow::{Result, bail};
use candle_core::{DType, Device};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Pass, Seed, Vars};
use sncn_train::data::Batch;
use sncn_train::harness::bench::Meter;
use sncn_train::objective::Objective;

/// The networks, each with the images of a batch.
pub(super) const NETWORKS: [(&str, usize); 2] = [("resnet50", 8), ("efficientnet_lite0", 16)];

const SIDE: usize = 224;
const CLASSES: usize = 1000;

/// A network of [`NETWORKS`] with a batch.
pub(super) fn trainer((name, images): (&str, usize)) -> Result<Trainer> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let network = backbone::build(name, &Blueprint { classes: CLASSES, layers: (&[]).into(), vars: &vars })?;
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0. };
    let optimizer = Optimizer::new(config, vars.trainable())?;
    let labels = (0..images).map(|i| (i % CLASSES) as u32).collect();
    let batch = Batch::new(random(&[images, SIDE, SIDE, 3], "images")?, labels);
    Ok(Trainer { network, vars, optimizer, batch, objective: Objective::Plain {}, lr: 0.01 })
}

/// Prints the figures.
pub(super) fn run(meter: &Meter, only: Option<&str>) -> Result<()> {
    let known = NETWORKS.map(|(name, _)| name);
    if let Some(only) = only.filter(|only| !known.contains(only)) {
        bail!("--network is {only:?}; known: {}", known.join(", "))
    }
    for (name, images) in NETWORKS.into_iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let operations =
            if name == "resnet50" { resnet(112, [(56, 56), (56, 28), (28, 14), (14, 7)], CLASSES) } else { lite(SIDE, CLASSES) };
        let mut trainer = trainer((name, images))?;
        let size = format!("{images}x{SIDE}x{SIDE}");
        let seconds = meter.seconds(|| trainer.step(&[]))?;
        meter.rate(name, &format!("train {size}"), (images, 3. * operations), seconds, "images/s");
        let pass = Pass::eval().keeping_weights();
        let seconds = meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &pass)?))?;
        meter.rate(name, &format!("inference {size}"), (images, operations), seconds, "images/s");
    }
    Ok(())
}

//! Figures of FCN-ResNet50, two images of 257 × 257 pixels and 19 classes: training and inference.

use super::trainer::{Trainer, random};
use super::work::resnet;
use crate::backbone::{Blueprint, segment};
use anyhow::Result;
use candle_core::{DType, Device};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Pass, Seed, Vars};
use sncn_train::data::Batch;
use sncn_train::harness::bench::Meter;
use sncn_train::objective::Objective;

/// The network.
pub(super) const NAME: &str = "fcn_resnet50";

const SIDE: usize = 257;
const CLASSES: usize = 19;
const IMAGES: usize = 2;

/// The network with a batch.
pub(super) fn trainer() -> Result<Trainer> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let network = segment::build(NAME, &Blueprint { classes: CLASSES, layers: (&[]).into(), vars: &vars })?;
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0. };
    let optimizer = Optimizer::new(config, vars.trainable())?;
    let labels = (0..IMAGES * SIDE * SIDE).map(|i| (i % CLASSES) as u32).collect();
    let batch = Batch::new(random(&[IMAGES, SIDE, SIDE, 3], "images")?, labels);
    Ok(Trainer { network, vars, optimizer, batch, objective: Objective::Segment { auxiliary: 0.4 }, lr: 0.01 })
}

/// Additions and multiplications of a forward pass of one image, with the auxiliary head or without.
fn operations(auxiliary: bool) -> f64 {
    let eighth = 33 * 33;
    let head = |from: usize| eighth * (9 * from * from / 4 + from / 4 * CLASSES);
    let heads = head(2048) + if auxiliary { head(1024) } else { 0 };
    resnet(129, [(65, 65), (65, 33), (33, 33), (33, 33)], 0) + 2. * heads as f64
}

/// Prints the figures.
pub(super) fn run(meter: &Meter) -> Result<()> {
    let mut trainer = trainer()?;
    let size = format!("{IMAGES}x{SIDE}x{SIDE}");
    let seconds = meter.seconds(|| trainer.step(&[]))?;
    meter.rate(NAME, &format!("train {size}"), (IMAGES, 3. * operations(true)), seconds, "images/s");
    let pass = Pass::eval().keeping_weights();
    let seconds = meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &pass)?))?;
    meter.rate(NAME, &format!("inference {size}"), (IMAGES, operations(false)), seconds, "images/s");
    Ok(())
}

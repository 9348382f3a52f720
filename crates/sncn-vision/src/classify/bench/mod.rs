//! `sncn-classify bench`: medians of whole steps and layers, one JSON object a line; `cargo xtask bench` sets them beside a
//! peer's.

mod fcn;
mod images;
mod layers;
mod meter;
mod trainer;

use anyhow::Result;
use meter::{Meter, emit};
use sncn_core::{LayerConfig, Pass, Precision, observe};
use sncn_train::harness::cli;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;
use trainer::{BATCH, Trainer};

/// What is measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// WideResNet-40-2 at batch 128: training and inference.
    Wrn,
    /// A training step of each network of the CIFAR experiments, batch 128.
    Networks,
    /// AugMix and the corruptions, images a second.
    Images,
    /// FCN-ResNet50 on two images of 257 × 257 pixels: training and inference.
    Fcn,
    /// A training step of WideResNet-40-2 with each of SelfNorm, squeeze-and-excitation and GroupNorm after every block.
    Attached,
    /// SelfNorm, CrossNorm, BatchNorm with rectifier, and convolutions, on CIFAR-sized maps.
    Layers,
    /// Linear layers.
    Linear,
    /// Peak memory of a training step, in a process of its own.
    Memory,
    /// Where the time of a training step goes.
    Profile,
}

/// Measure whole steps and layers; prints one JSON object a line.
#[derive(clap::Args, Debug)]
pub struct Bench {
    /// What to measure.
    #[arg(value_enum)]
    case: Case,
    #[command(flatten)]
    meter: Meter,
    /// For `networks` and `profile`: this network alone (`profile` takes wrn40_2 where none is named, and fcn_resnet50 too).
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(NETWORKS.map(|(name, _)| name).into_iter().chain([fcn::NAME])))]
    network: Option<String>,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// Where an operation fails.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.meter.threads)?;
        emit("machine", "multiply-adds in f32", self.meter.peak(), "GFLOP/s");
        match self.case {
            Case::Wrn => self.wrn(),
            Case::Networks => self.networks(),
            Case::Attached => self.attached(),
            Case::Images => self.meter.images(),
            Case::Fcn => self.meter.fcn(),
            Case::Layers => self.meter.layers(),
            Case::Linear => self.meter.linear(),
            Case::Memory => self.memory(),
            Case::Profile => self.profile(),
        }
    }

    fn wrn(&self) -> Result<()> {
        let mut trainer = Trainer::new("wrn40_2", "post")?;
        for (what, sites) in [("train, SelfNorm", &[][..]), ("train, SelfNorm + 2 CrossNorm", &SITES)] {
            let seconds = self.meter.seconds(|| trainer.step(sites))?;
            self.meter.rate("wrn40_2", what, (BATCH, 3. * WRN_OPERATIONS), seconds);
        }
        let seconds = self.meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &Pass::eval())?))?;
        self.meter.rate("wrn40_2", "inference, SelfNorm", (BATCH, WRN_OPERATIONS), seconds);
        let bf16 = Pass::eval().with_precision(Precision::Bf16);
        let seconds = self.meter.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &bf16)?))?;
        emit("wrn40_2", "inference, SelfNorm, bf16", 128. / seconds, "images/s");
        Ok(())
    }

    fn networks(&self) -> Result<()> {
        for (backbone, at) in NETWORKS.into_iter().filter(|(name, _)| self.network.as_deref().is_none_or(|one| one == *name)) {
            let mut trainer = Trainer::new(backbone, at)?;
            let seconds = self.meter.seconds(|| trainer.step(&SITES))?;
            emit(&format!("network {backbone}"), "train, SelfNorm + 2 CrossNorm", BATCH as f64 / seconds, "images/s");
        }
        Ok(())
    }

    fn attached(&self) -> Result<()> {
        for kind in ["selfnorm", "se", "group_norm"] {
            let mut trainer = Trainer::with("wrn40_2", &[LayerConfig::new(kind, "post")])?;
            let seconds = self.meter.seconds(|| trainer.step(&[]))?;
            self.meter.rate("wrn40_2", &format!("train, {kind}"), (BATCH, 3. * WRN_OPERATIONS), seconds);
        }
        Ok(())
    }

    fn memory(&self) -> Result<()> {
        let mut trainer = Trainer::new("wrn40_2", "post")?;
        (0..3).try_for_each(|_| trainer.step(&SITES))?;
        emit("wrn40_2", "peak memory", peak_memory(), "MB");
        Ok(())
    }

    /// Mean milliseconds of a step by operation; what no operation accounts for is the tape, the head, the loss and the optimiser.
    fn profile(&self) -> Result<()> {
        let wanted = self.network.as_deref().unwrap_or("wrn40_2");
        let case = format!("{wanted} step");
        let (mut trainer, sites) = match NETWORKS.into_iter().find(|(name, _)| *name == wanted) {
            Some((name, at)) => (Trainer::new(name, at)?, &SITES[..]),
            None => (fcn::trainer()?, &[][..]),
        };
        trainer.step(sites)?;
        let spent: Rc<RefCell<(Instant, BTreeMap<&str, f64>)>> = Rc::new(RefCell::new((Instant::now(), BTreeMap::new())));
        let (told, all) = (spent.clone(), Instant::now());
        observe(Some(Box::new(move |name| {
            let mut told = told.borrow_mut();
            let now = Instant::now();
            let passed = now.duration_since(told.0).as_secs_f64();
            told.0 = now;
            *told.1.entry(name).or_default() += passed;
        })));
        for _ in 0..self.meter.runs {
            trainer.step(sites)?;
            // what lies between the last operation of a step and the first of the next belongs to none of them
            let mut spent = spent.borrow_mut();
            let now = Instant::now();
            let passed = now.duration_since(spent.0).as_secs_f64();
            spent.0 = now;
            *spent.1.entry("tape, optimiser").or_default() += passed;
        }
        observe(None);
        let each = |seconds: f64| 1e3 * seconds / self.meter.runs as f64;
        for (what, &seconds) in &spent.borrow().1 {
            emit(&case, what, each(seconds), "ms");
        }
        emit(&case, "whole", each(all.elapsed().as_secs_f64()), "ms");
        Ok(())
    }
}

/// Additions and multiplications of WideResNet-40-2's convolutions in a forward pass of one 32 × 32 image: the stem, and in
/// each stage 12 of 3 × 3 and a shortcut of 1 × 1.
const WRN_OPERATIONS: f64 = 2.
    * (1024 * 27 * 16
        + 1024 * (9 * 16 * 32 + 11 * 9 * 32 * 32 + 16 * 32)
        + 256 * (9 * 32 * 64 + 11 * 9 * 64 * 64 + 32 * 64)
        + 64 * (9 * 64 * 128 + 11 * 9 * 128 * 128 + 64 * 128)) as f64;

/// Sites at which CrossNorm acts; every network of the CIFAR experiments has more than 8.
const SITES: [usize; 2] = [3, 8];

/// The networks of the CIFAR experiments, each with the position of its CrossNorm and SelfNorm.
const NETWORKS: [(&str, &str); 4] =
    [("allconv", "conv"), ("densenet40_12", "conv1_pre"), ("wrn40_2", "post"), ("resnext29_4x32", "post")];

/// Most memory that this process has held, in MB; 0 where the system does not tell.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.unwrap_or(0.) / 1024.
}

//! `sncn-classify bench`: medians of whole steps and layers, one JSON object a line; `cargo xtask bench` sets them beside a
//! peer's.

mod fcn;
mod images;
mod layers;

use crate::backbone::{self, Blueprint};
use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use candle_nn::Init;
use serde_json::json;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{LayerConfig, Mixture, Network, Pass, Precision, Seed, Vars, observe};
use sncn_kernels::simd::Form;
use sncn_train::data::Batch;
use sncn_train::harness::cli;
use sncn_train::objective::Objective;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

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
    /// Measurements of each figure, after one to warm up; the median is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
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
        cli::threads(self.threads)?;
        emit("machine", "multiply-adds in f32", self.peak(), "GFLOP/s");
        match self.case {
            Case::Wrn => self.wrn(),
            Case::Networks => self.networks(),
            Case::Images => self.images(),
            Case::Fcn => self.fcn(),
            Case::Layers => self.layers(),
            Case::Linear => self.linear(),
            Case::Memory => self.memory(),
            Case::Profile => self.profile(),
        }
    }

    /// What the threads can multiply and add, in GFLOP/s.
    fn peak(&self) -> f64 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(processors) as f64 * Form::current().peak()
    }

    /// Median seconds of a step.
    fn seconds<T>(&self, mut step: impl FnMut() -> Result<T>) -> Result<f64> {
        black_box(step()?);
        let mut times = Vec::new();
        for _ in 0..self.runs {
            let start = Instant::now();
            black_box(step()?);
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Prints images per second, with the limit that the convolutions' plain multiply-adds set: images of a step, and
    /// operations of one.
    fn rate(&self, case: &str, what: &str, (images, operations): (usize, f64), seconds: f64) {
        let limit = 1e9 * self.peak() / operations;
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let value = rounded(images as f64 / seconds);
        out!("{}", json!({"case": case, "what": what, "value": value, "unit": "images/s", "limit": rounded(limit)}));
    }

    fn wrn(&self) -> Result<()> {
        let mut trainer = Trainer::new("wrn40_2", "post")?;
        for (what, sites) in [("train, SelfNorm", &[][..]), ("train, SelfNorm + 2 CrossNorm", &SITES)] {
            let seconds = self.seconds(|| trainer.step(sites))?;
            self.rate("wrn40_2", what, (BATCH, 3. * WRN_OPERATIONS), seconds);
        }
        let seconds = self.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &Pass::eval())?))?;
        self.rate("wrn40_2", "inference, SelfNorm", (BATCH, WRN_OPERATIONS), seconds);
        let bf16 = Pass::eval().rounded(Precision::Bf16);
        let seconds = self.seconds(|| Ok(trainer.network.forward(&trainer.batch.inputs, &bf16)?))?;
        emit("wrn40_2", "inference, SelfNorm, bf16", 128. / seconds, "images/s");
        Ok(())
    }

    fn networks(&self) -> Result<()> {
        for (backbone, at) in NETWORKS.into_iter().filter(|(name, _)| self.network.as_deref().is_none_or(|one| one == *name)) {
            let mut trainer = Trainer::new(backbone, at)?;
            let seconds = self.seconds(|| trainer.step(&SITES))?;
            emit(&format!("network {backbone}"), "train, SelfNorm + 2 CrossNorm", BATCH as f64 / seconds, "images/s");
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
        for _ in 0..self.runs {
            trainer.step(sites)?;
            // what lies between the last operation of a step and the first of the next belongs to none of them
            let mut spent = spent.borrow_mut();
            let now = Instant::now();
            let passed = now.duration_since(spent.0).as_secs_f64();
            spent.0 = now;
            *spent.1.entry("tape, optimiser").or_default() += passed;
        }
        observe(None);
        let each = |seconds: f64| 1e3 * seconds / self.runs as f64;
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

/// Images of a step.
const BATCH: usize = 128;

/// The networks of the CIFAR experiments, each with the position of its CrossNorm and SelfNorm.
const NETWORKS: [(&str, &str); 4] =
    [("allconv", "conv"), ("densenet40_12", "conv1_pre"), ("wrn40_2", "post"), ("resnext29_4x32", "post")];

/// A network, a batch, and its optimiser.
struct Trainer {
    network: Box<dyn Network>,
    optimizer: Optimizer,
    batch: Batch,
    objective: Objective,
    lr: f64,
}

impl Trainer {
    /// A network with CrossNorm and SelfNorm at one position of every block, a batch of 128.
    fn new(backbone: &str, at: &str) -> Result<Self> {
        let layers = ["crossnorm", "selfnorm"].map(|kind| LayerConfig::new(kind, at));
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let network = backbone::build(backbone, &Blueprint { classes: 10, layers: (&layers).into(), vars: &vars })?;
        let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
        let optimizer = Optimizer::new(config, vars.trainable())?;
        let inputs = random(&[BATCH, 32, 32, 3], "images")?;
        let batch = Batch { inputs, labels: (0..BATCH as u32).map(|i| i % 10).collect(), views: 1 };
        Ok(Self { network, optimizer, batch, objective: Objective::Plain {}, lr: 0.1 })
    }

    fn step(&mut self, sites: &[usize]) -> Result<()> {
        let pass = Pass::given(sites.iter().map(|&site| (site, partners(BATCH))), Seed::new(1));
        let loss = self.objective.loss_in(&*self.network, &self.batch, &pass)?;
        Ok(self.optimizer.step(&sncn_core::backward(&loss)?, self.lr)?)
    }
}

/// Every instance takes the statistics of another.
fn partners(n: usize) -> Mixture {
    Mixture { partner: (0..n).map(|i| (i * 5 + 2) % n).collect(), channels: None, style: None, content: None, blend: None }
}

fn random(shape: &[usize], name: &str) -> Result<Tensor> {
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    Ok(vars.builder().get_with_hints(shape, name, Init::Randn { mean: 0., stdev: 1. })?.detach())
}

fn emit(case: &str, what: &str, value: f64, unit: &str) {
    out!("{}", json!({"case": case, "what": what, "value": (value * 1e3).round() / 1e3, "unit": unit}));
}

/// Most memory that this process has held, in MB; 0 where the system does not tell.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.unwrap_or(0.) / 1024.
}

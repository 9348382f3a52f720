//! `sncn-classify bench`: medians of whole steps and layers, one JSON object a line; `cargo xtask bench` sets them beside a
//! peer's.

use super::setup;
use crate::backbone::{self, Blueprint};
use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::Init;
use serde_json::json;
use sncn_core::layer::{BatchNorm, CrossNorm, CrossNormConfig, Layer, SelfNorm, SelfNormConfig};
use sncn_core::loss::cross_entropy;
use sncn_core::ops::{self, Conv};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{FeatureMap, LayerConfig, Mixture, Network, Pass, Place, Precision, Seed, Vars, observe};
use sncn_kernels::simd::Form;
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
    /// The other backbones at batch 128: training, without layers hung on them.
    Nets,
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
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// Where an operation fails.
    pub fn run(&self) -> Result<()> {
        setup::threads(self.threads)?;
        emit("machine", "multiply-adds in f32", self.peak(), "GFLOP/s");
        match self.case {
            Case::Wrn => self.wrn(),
            Case::Nets => self.nets(),
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

    /// Prints milliseconds, with the bytes that have to move and the operations that the plain algorithm does.
    fn milliseconds<T>(&self, case: &str, what: &str, work: Work, step: impl FnMut() -> Result<T>) -> Result<()> {
        let value = 1e3 * self.seconds(step)?;
        let line = json!({"case": case, "what": what, "value": (value * 1e3).round() / 1e3, "unit": "ms", "bytes": work.bytes, "operations": work.operations});
        out!("{line}");
        Ok(())
    }

    /// Prints images per second of WideResNet-40-2, with the limit that the convolutions' plain multiply-adds set.
    fn rate(&self, what: &str, passes: f64, seconds: f64) {
        let limit = 1e9 * self.peak() / (passes * WRN_OPERATIONS);
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let value = rounded(128. / seconds);
        out!("{}", json!({"case": "wrn40_2", "what": what, "value": value, "unit": "images/s", "limit": rounded(limit)}));
    }

    fn wrn(&self) -> Result<()> {
        let mut trainer = Trainer::new()?;
        for (what, sites) in [("train, SelfNorm", &[][..]), ("train, SelfNorm + 2 CrossNorm", &SITES)] {
            let seconds = self.seconds(|| trainer.step(sites))?;
            self.rate(what, 3., seconds);
        }
        let seconds = self.seconds(|| Ok(trainer.network.forward(&trainer.xs, &Pass::eval())?))?;
        self.rate("inference, SelfNorm", 1., seconds);
        let bf16 = Pass::eval().rounded(Precision::Bf16);
        let seconds = self.seconds(|| Ok(trainer.network.forward(&trainer.xs, &bf16)?))?;
        emit("wrn40_2", "inference, SelfNorm, bf16", 128. / seconds, "images/s");
        Ok(())
    }

    fn nets(&self) -> Result<()> {
        for name in ["resnext29_4x32", "resnet18", "allconv", "densenet40_12"] {
            let mut trainer = Trainer::of(name, &[])?;
            emit(name, "train", 128. / self.seconds(|| trainer.step(&[]))?, "images/s");
        }
        Ok(())
    }

    fn memory(&self) -> Result<()> {
        let mut trainer = Trainer::new()?;
        (0..3).try_for_each(|_| trainer.step(&SITES))?;
        emit("wrn40_2", "peak memory", peak_memory(), "MB");
        Ok(())
    }

    /// Mean milliseconds of a step by operation; what no operation accounts for is the tape, the head, the loss and the optimiser.
    fn profile(&self) -> Result<()> {
        let mut trainer = Trainer::new()?;
        trainer.step(&SITES)?;
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
            trainer.step(&SITES)?;
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
            emit("wrn40_2 step", what, each(seconds), "ms");
        }
        emit("wrn40_2 step", "whole", each(all.elapsed().as_secs_f64()), "ms");
        Ok(())
    }

    fn layers(&self) -> Result<()> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let place = Place::new(32, vars.builder());
        let train = Pass::train(Seed::new(1));
        let mixing = Pass::given([(0, partners(128))], Seed::new(1));
        let selfnorm = SelfNorm::new(SelfNormConfig::default(), &place.at(32, place.vb.pp("sn")))?;
        let crossnorm = CrossNorm::new(CrossNormConfig::default(), &place)?;
        let norm = BatchNorm::new(&place.at(32, place.vb.pp("bn")))?;
        let shape = [128, 32, 32, 32];
        // forward the map is read for its statistics, read again and written; backward gradient and map are read for sums, then
        // read again and the gradient of the map is written
        let maps = |count: f64| Work { bytes: count * 4. * (128 * 32 * 32 * 32) as f64, operations: 0. };
        let work = (maps(3.), maps(8.));
        self.recorded("SelfNorm", &shape, work, &train, |xs| selfnorm.on_map(xs, &train))?;
        self.recorded("CrossNorm", &shape, work, &mixing, |xs| crossnorm.on_map(xs, &mixing))?;
        self.recorded("BatchNorm+ReLU", &shape, work, &train, |xs| xs.norm_relu(&norm, &train))?;
        self.both("SelfNorm on candle's tape", &shape, work, |xs| selfnorm.forward(xs, &train))?;
        self.both("CrossNorm on candle's tape", &shape, work, |xs| crossnorm.forward(xs, &mixing))?;
        self.both("BatchNorm+ReLU on candle's tape", &shape, work, |xs| norm.norm(xs, true, &train))?;
        let shapes = [(3, 16, 32, 1, 1), (16, 32, 32, 1, 1), (32, 32, 32, 1, 1), (32, 64, 32, 2, 1), (64, 64, 16, 1, 1)];
        for (from, to, size, stride, groups) in
            shapes.into_iter().chain([(128, 128, 8, 1, 1), (96, 96, 32, 1, 1), (128, 128, 32, 1, 4)])
        {
            let weight = Var::from_tensor(&random(&[to, from / groups, 3, 3], "weight")?)?;
            let conv = Conv { stride, padding: 1, groups, ..Conv::default() };
            let name = format!("conv3x3 {from}->{to} stride {stride} groups {groups}");
            let output = size / stride;
            let map = |c: usize, side: usize| 4. * (128 * side * side * c) as f64;
            let once = Work {
                bytes: map(from, size) + map(to, output),
                operations: 2. * (128 * output * output * to * 9 * from / groups) as f64,
            };
            let bare = |xs: &FeatureMap| xs.clone().gathering(false).conv(weight.as_tensor(), &conv);
            self.recorded(&name, &[128, size, size, from], (once, once.times(3.)), &train, bare)?;
        }
        Ok(())
    }

    fn linear(&self) -> Result<()> {
        for (rows, from, to) in [(4096, 256, 1024), (4096, 1024, 256), (4096, 256, 256)] {
            let weight = Var::from_tensor(&random(&[to, from], "weight")?)?;
            let bias = Var::from_tensor(&random(&[to], "bias")?)?;
            let once =
                Work { bytes: 4. * (rows * from + rows * to + from * to) as f64, operations: 2. * (rows * from * to) as f64 };
            self.both(&format!("linear {from}->{to}"), &[rows, from], (once, once.times(3.)), |xs| {
                ops::linear(xs, weight.as_tensor(), Some(bias.as_tensor()))
            })?;
        }
        Ok(())
    }

    /// Forward alone, and forward with backward from a given gradient, of a layer as a network's body runs it: recorded,
    /// from a map to a written map, with the gradients of the map and of the parameters.
    fn recorded(
        &self,
        case: &str,
        shape: &[usize; 4],
        work: (Work, Work),
        pass: &Pass,
        f: impl Fn(&FeatureMap) -> candle_core::Result<FeatureMap>,
    ) -> Result<()> {
        let xs = Var::from_tensor(&random(shape, "xs")?)?;
        let layer = || f(&FeatureMap::start(xs.as_tensor(), true, pass)?)?.written();
        let (n, h, w, c) = layer()?.dims()?;
        let gradient = random(&[n, h, w, c], "gradient")?;
        let [n, h, w, c] = shape;
        let named = format!("({n}, {c}, {h}, {w})");
        self.milliseconds(case, &format!("forward {named}"), work.0, || Ok(layer()?))?;
        self.milliseconds(case, &format!("forward+backward {named}"), work.1, || Ok(layer()?.backward(&gradient)?))
    }

    /// Forward alone, and forward with backward, of an operation on a map (N, H, W, C); named by PyTorch's order of axes.
    fn both(
        &self,
        case: &str,
        shape: &[usize],
        work: (Work, Work),
        f: impl Fn(&Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<()> {
        let xs = Var::from_tensor(&random(shape, "xs")?)?;
        let named = match *shape {
            [n, h, w, c] => format!("({n}, {c}, {h}, {w})"),
            _ => format!("{shape:?}").replace('[', "(").replace(']', ")"),
        };
        self.milliseconds(case, &format!("forward {named}"), work.0, || Ok(f(xs.as_tensor())?))?;
        self.milliseconds(case, &format!("forward+backward {named}"), work.1, || Ok(f(xs.as_tensor())?.backward()?))
    }
}

/// What a figure has to do at least.
#[derive(Clone, Copy)]
struct Work {
    /// Read and written.
    bytes: f64,
    /// Additions and multiplications of the plain algorithm.
    operations: f64,
}

impl Work {
    /// The work of so many passes.
    fn times(self, passes: f64) -> Self {
        Self { bytes: passes * self.bytes, operations: passes * self.operations }
    }
}

/// Additions and multiplications of WideResNet-40-2's convolutions in a forward pass of one 32 × 32 image: the stem, and in
/// each stage 12 of 3 × 3 and a shortcut of 1 × 1.
const WRN_OPERATIONS: f64 = 2.
    * (1024 * 27 * 16
        + 1024 * (9 * 16 * 32 + 11 * 9 * 32 * 32 + 16 * 32)
        + 256 * (9 * 32 * 64 + 11 * 9 * 64 * 64 + 32 * 64)
        + 64 * (9 * 64 * 128 + 11 * 9 * 128 * 128 + 64 * 128)) as f64;

/// Sites at which CrossNorm acts.
const SITES: [usize; 2] = [3, 11];

/// A network, a batch of 128, and its optimiser.
struct Trainer {
    network: Box<dyn Network>,
    optimizer: Optimizer,
    xs: Tensor,
    labels: Vec<u32>,
}

impl Trainer {
    /// WideResNet-40-2 with CrossNorm and SelfNorm after every block.
    fn new() -> Result<Self> {
        let unit = |kind: &str| LayerConfig { kind: kind.into(), at: "post".into(), settings: serde_json::Map::new() };
        Self::of("wrn40_2", &[unit("crossnorm"), unit("selfnorm")])
    }

    fn of(name: &str, layers: &[LayerConfig]) -> Result<Self> {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let network = backbone::build(name, &Blueprint { classes: 10, layers, vars: &vars })?;
        let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
        let optimizer = Optimizer::new(config, vars.trainable())?;
        Ok(Self { network, optimizer, xs: random(&[128, 32, 32, 3], "images")?, labels: (0..128).map(|i| i % 10).collect() })
    }

    fn step(&mut self, sites: &[usize]) -> Result<()> {
        let pass = Pass::given(sites.iter().map(|&site| (site, partners(128))), Seed::new(1));
        let loss = cross_entropy(&self.network.forward(&self.xs, &pass)?, &self.labels, None)?;
        Ok(self.optimizer.step(&loss.backward()?, 0.1)?)
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

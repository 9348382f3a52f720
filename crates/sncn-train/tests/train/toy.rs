//! A whole task in one file: sequences of audio-like samples, told apart by their pitch; tests hear them under noise.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};
use sncn_core::block::{ConvLayer, Head};
use sncn_core::layer::{BatchNorm, Hooks};
use sncn_core::{BuildContext, FeatureMap, Layers, Network, Pass, Seed, Vars};
use sncn_record::task::CLASSIFY;
use sncn_train::data::{Batch, DataError, Dataset};
use sncn_train::evaluate::Evaluation;
use sncn_train::harness::given::{Given, Row, is_path, method, methods};
use sncn_train::harness::{Begin, Empty, NoCommand, Observe, Parts, Prepared, Rebuild, Run};
use sncn_train::harness::{Task, TestSets, Testing, Trained, Way, settings};

/// Tones of one of three pitches, 64 samples each, with noise of that standard deviation.
pub(crate) struct Tones {
    count: usize,
    noise: f64,
    seed: Seed,
}

impl Dataset for Tones {
    fn len(&self) -> usize {
        self.count
    }

    fn batch(&self, indices: &[usize], _augment: Option<Seed>) -> Result<Batch, DataError> {
        let labels: Vec<u32> = indices.iter().map(|&index| (index % 3) as u32).collect();
        let wave = |index: usize, at: usize| ((at + index) as f32 * 0.3 * (1 + index % 3) as f32).sin();
        let values: Vec<f32> = indices.iter().flat_map(|&index| (0..64).map(move |at| wave(index, at))).collect();
        let tones = Tensor::from_vec(values, (indices.len(), 1, 64, 1), &Device::Cpu)?;
        let noise = indices.iter().map(|&index| self.seed.fold_in(index as u64).normal((1, 1, 64, 1)));
        let noise = Tensor::cat(&noise.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        Ok(Batch::new((tones + (noise * self.noise)?)?, labels))
    }
}

/// Convolution, norm and rectifier, layers at the position `post`, mean over the samples, classifier.
struct Ear {
    conv: ConvLayer,
    norm: BatchNorm,
    hooks: Hooks,
    head: Head,
    sites: usize,
}

impl Ear {
    fn new(layers: Layers, vars: &Vars) -> candle_core::Result<Self> {
        let cx = BuildContext::new(8, vars.builder());
        Ok(Self {
            conv: ConvLayer::same(cx.vb.pp("conv"), 1, 8, 3, 1)?,
            norm: BatchNorm::new(&cx.at(8, cx.vb.pp("norm")))?,
            hooks: Hooks::new(layers, &[("post", 8)], &cx)?,
            head: Head::new(cx.vb.pp("head"), 8, 3)?,
            sites: cx.sites(),
        })
    }
}

impl Network for Ear {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> candle_core::Result<Tensor> {
        let xs = FeatureMap::from_tensor(xs, self.hooks.recordable(), pass)?;
        let ys = self.hooks.on_map("post", self.norm.norm_relu(&self.conv.on_map(&xs)?, pass)?, pass)?;
        self.head.forward(&ys.global_avg_pool()?)
    }

    fn sites(&self) -> usize {
        self.sites
    }
}

/// Tones to pitches.
#[derive(Debug)]
pub(crate) struct Pitch;

impl Pitch {
    fn network(run: &Run<()>, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
        ensure!(run.backbone == "ear", "unknown network {:?}; known: ear", run.backbone);
        let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
        Ok((Box::new(Ear::new((&run.layers).into(), &vars)?), vars))
    }
}

impl Task for Pitch {
    const INFO: &'static sncn_record::Task =
        &sncn_record::Task { name: "pitch", program: "sncn-pitch", examples: "tones", counted: "tones", ..CLASSIFY };
    const ABOUT: &'static str = "Tell tones by their pitch";
    const FIRST_STEPS: &'static str = "  sncn-pitch train --table tones.json --row sn --run-dir runs/mine";
    const TESTS: &'static str = "Test sets instead of the run's: tones, tones-c (five levels of noise)";

    type Settings = ();
    type Model = Box<dyn Network>;
    type Set = Tones;
    type Score = Evaluation;
    type Train = Empty;
    type Evaluate = Empty;
    type Predict = Empty;
    type Command = NoCommand;

    fn settings(run: &Run<Empty>) -> Result<()> {
        settings::none(run, Self::INFO)
    }

    fn row(given: &Given<'_>) -> Result<Row> {
        ensure!(!is_path(given.data, &["tones"])?, "--data {}: tones are generated, not read", given.data);
        let layer = |kind: &str| json!({"kind": kind, "at": "post"});
        let mixstyle = json!({"layers": [layer("mixstyle")], "mix": {"probability": 0.5, "active": 1}});
        let row = json!({
            "name": given.method, "train": given.data, "test": ["tones", "tones-c"], "backbone": given.network.unwrap_or("ear"),
            "epochs": given.epochs.unwrap_or(2), "batch_size": 30, "lr": 0.1,
            "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
            "schedule": {"kind": "constant"}, "objective": {"kind": "plain"}, "early_stopping": {"patience": 9}
        });
        let Value::Object(mut keys) = row else { return Err(anyhow::anyhow!("a row is an object")) };
        keys.extend(method(given.method, methods(&layer("crossnorm"), &layer("selfnorm"), mixstyle))?);
        let evaluation = ["--test", "tones,tones-c"].map(str::to_string).to_vec();
        Ok(Row { keys, data_dir: None, said: vec!["300 tones".to_string()], evaluation })
    }

    fn network(model: &Self::Model) -> &dyn Network {
        &**model
    }

    fn prepare(begin: &Begin<'_, Self>) -> Result<Prepared<Self>> {
        let (model, vars) = Self::network(begin.run, begin.seed)?;
        let data = Box::new(Tones { count: begin.run.train_limit.unwrap_or(300), noise: 0.2, seed: Seed::new(1) });
        let classes = ["low", "middle", "high"].map(str::to_string).to_vec();
        let validation = Some(Tones { count: 30, noise: 0.2, seed: Seed::new(2) });
        Ok(Prepared { model, vars, data, classes, describe: "tones".to_string(), validation })
    }

    fn rebuild(rebuild: &Rebuild<'_, Self>) -> Result<(Self::Model, Vars)> {
        Self::network(rebuild.run, rebuild.seed)
    }

    fn test_sets<'a>(_testing: Testing<'a, Self>) -> Result<Box<dyn TestSets<Self> + 'a>> {
        Ok(Box::new(Noisy))
    }

    fn score(_: &Self::Model, way: &Way<'_>, classes: usize, set: &Tones, observe: Observe<'_>) -> Result<Evaluation> {
        Ok(way.evaluate(set, classes, 50, observe)?)
    }

    fn predict(trained: &Trained<Self>, _options: &Empty) -> Result<()> {
        let batch = Tones { count: 1, noise: 0., seed: Seed::new(4) }.batch(&[0], None)?;
        ensure!(trained.network().forward(&batch.inputs, &Pass::eval())?.dims() == [1, 3], "three scores are wanted");
        Ok(())
    }
}

/// `tones`, and `tones-c` under five levels of noise.
struct Noisy;

impl TestSets<Pitch> for Noisy {
    fn parts(&self, name: &str) -> Result<Parts<'_, Tones>> {
        let tones = |noise: f64| Tones { count: 60, noise, seed: Seed::new(3) };
        match name {
            "tones" => Ok(Box::new([Ok((name.to_string(), tones(0.2)))].into_iter())),
            "tones-c" => {
                Ok(Box::new((1..=5).map(move |level| Ok((format!("tones-c/noise/{level}"), tones(0.3 * f64::from(level)))))))
            }
            _ => anyhow::bail!("unknown test set {name:?}; known: tones, tones-c"),
        }
    }
}

//! A layer of one's own: written once as a rule, attached to a WideResNet through a registry, trained recorded.
//!
//! Run it with `cargo run --release -p sncn-vision --example own_layer`.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Init, loss::cross_entropy};
use sncn_core::layer::{Layers, Registry};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::rule::{Affine, Instances, Rule};
use sncn_core::{LayerConfig, Pass, Seed, Vars};
use sncn_vision::backbone::{Blueprint, build};

/// Contrast: scales a channel by a power of its standard deviation, y = σ^w·x, with a learnt w a channel.
struct Contrast {
    power: Tensor,
}

impl Rule for Contrast {
    fn rule(&self, map: &Instances, _: &Pass) -> Result<Option<Affine>> {
        let std = map.statistics()?.std(1e-5)?;
        Ok(Some(Affine::scaled(std.log().mul(&map.parameter(&self.power)?)?.exp())))
    }
}

fn main() -> Result<()> {
    let registry = Registry::default().with("contrast", |settings, cx| {
        settings.none()?;
        Ok(Box::new(Contrast { power: cx.vb.get_with_hints(cx.channels, "power", Init::Const(0.))? }))
    })?;
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let configs = [LayerConfig::new("contrast", "post")];
    let layers = Layers::new(&configs, &registry);
    let network = build("wrn10_1", &Blueprint { classes: 2, layers, vars: &vars })?;
    let mut optimizer =
        Optimizer::new(OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0. }, vars.trainable())?;
    // noise of high or low contrast
    let labels: Vec<u32> = (0..32).map(|i| i % 2).collect();
    let gain = Tensor::from_iter(labels.iter().map(|&label| 1. + 2. * label as f32), &Device::Cpu)?.reshape((32, 1, 1, 1))?;
    let targets = Tensor::new(labels.as_slice(), &Device::Cpu)?;
    let mut last = f32::INFINITY;
    for step in 0..30 {
        let images = Seed::new(2).fold_in(step).normal((32, 32, 32, 3))?.broadcast_mul(&gain)?;
        let scores = network.forward(&images, &Pass::train(Seed::new(1).fold_in(step)))?;
        let loss = cross_entropy(&scores, &targets)?;
        optimizer.step(&sncn_core::backward(&loss)?, 0.05)?;
        last = loss.to_scalar()?;
        println!("step {step:2}: loss {last:.4}");
    }
    let powers = vars.trainable().into_iter().filter(|(name, _)| name.ends_with("power"));
    for (name, power) in powers {
        println!("{name}: mean {:.4}", power.mean_all()?.to_scalar::<f32>()?);
    }
    if last < 0.3 { Ok(()) } else { candle_core::bail!("the loss is {last} after 30 steps: the layer did not learn") }
}

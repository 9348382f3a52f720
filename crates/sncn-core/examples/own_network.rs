//! A network of one's own from blocks, recorded: a small residual network with layers attached, trained on stripes.
//!
//! Run it with `cargo run --release -p sncn-core --example own_network`.

use candle_core::{DType, Device, Result, Tensor, bail};
use sncn_core::block::{ConvLayer, Head};
use sncn_core::layer::{BatchNorm, Hooks};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{BuildContext, FeatureMap, LayerConfig, Layers, Network, Pass, Seed, Vars, loss};

/// A pre-activation residual block: x + conv(relu(norm(x))), with a position `post` for layers.
struct Block {
    norm: BatchNorm,
    conv: ConvLayer,
    hooks: Hooks,
}

impl Block {
    fn new(cx: &BuildContext, layers: Layers) -> Result<Self> {
        let (c, vb) = (cx.channels, &cx.vb);
        Ok(Self {
            norm: BatchNorm::new(&cx.at(c, vb.pp("norm")))?,
            conv: ConvLayer::same(vb.pp("conv"), c, c, 3, 1)?,
            hooks: Hooks::new(layers, &[("post", c)], &cx.at(c, vb.pp("layers")))?,
        })
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let ys = self.conv.on_map_add(&self.norm.norm_relu(xs, pass)?, xs)?;
        self.hooks.on_map("post", ys, pass)
    }
}

/// Convolution, blocks, norm and rectifier, mean over positions, classifier.
struct Striped {
    stem: ConvLayer,
    blocks: Vec<Block>,
    norm: BatchNorm,
    head: Head,
    sites: usize,
}

impl Striped {
    fn new(channels: usize, blocks: usize, layers: Layers, vars: &Vars) -> Result<Self> {
        let cx = BuildContext::new(channels, vars.builder());
        let stem = ConvLayer::same(cx.vb.pp("stem"), 3, channels, 3, 2)?;
        let block = |i| Block::new(&cx.at(channels, cx.vb.pp(format!("blocks.{i}"))), layers);
        let blocks = (0..blocks).map(block).collect::<Result<_>>()?;
        let norm = BatchNorm::new(&cx.at(channels, cx.vb.pp("norm")))?;
        let head = Head::new(cx.vb.pp("head"), channels, 2)?;
        Ok(Self { stem, blocks, norm, head, sites: cx.sites() })
    }
}

impl Network for Striped {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        // recorded unless an attached layer has no recorded form
        let recordable = self.blocks.iter().all(|block| block.hooks.recordable());
        let stem = self.stem.on_map(&FeatureMap::from_tensor(xs, recordable, pass)?)?;
        let ys = self.blocks.iter().try_fold(stem, |xs, block| block.forward(&xs, pass))?;
        self.head.forward(&self.norm.norm_relu(&ys, pass)?.global_avg_pool()?)
    }

    fn sites(&self) -> usize {
        self.sites
    }
}

/// Images (N, 16, 16, 3) of noise with stripes along rows or along columns, and which of both.
fn stripes(n: usize, seed: Seed) -> Result<(Tensor, Vec<u32>)> {
    let labels: Vec<u32> = (0..n as u32).map(|i| i % 2).collect();
    let wave = Tensor::arange(0f32, 16., &Device::Cpu)?.affine(1.6, 0.)?.sin()?;
    let (rows, columns) = (wave.reshape((1, 16, 1, 1))?, wave.reshape((1, 1, 16, 1))?);
    let ups = Tensor::from_iter(labels.iter().map(|&label| label as f32), &Device::Cpu)?.reshape((n, 1, 1, 1))?;
    let wave = (ups.broadcast_mul(&rows)?.broadcast_as((n, 16, 16, 3))?
        + ups.affine(-1., 1.)?.broadcast_mul(&columns)?.broadcast_as((n, 16, 16, 3))?)?;
    Ok(((wave + seed.normal((n, 16, 16, 3))?)?, labels))
}

fn main() -> Result<()> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let layers = [LayerConfig::new("crossnorm", "post"), LayerConfig::new("selfnorm", "post")];
    let network = Striped::new(16, 3, (&layers).into(), &vars)?;
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    let mut optimizer = Optimizer::new(sgd, vars.trainable())?;
    println!("{} parameters, {} sites", vars.parameter_count(), network.sites());
    for step in 0..60 {
        let (images, labels) = stripes(32, Seed::new(2).fold_in(step))?;
        // in a quarter of the steps CrossNorm acts at one of its sites
        let active = usize::from(step % 4 == 0);
        let pass = Pass::mixing(network.sites(), active, Seed::new(1).fold_in(step));
        let loss = loss::cross_entropy(&network.forward(&images, &pass)?, &labels, None)?;
        optimizer.step(&sncn_core::backward(&loss)?, 0.05)?;
        println!("step {step:2}: loss {:.4}", loss.to_scalar::<f32>()?);
    }
    let (images, labels) = stripes(200, Seed::new(3))?;
    let found: Vec<u32> = network.forward(&images, &Pass::eval())?.argmax(1)?.to_vec1()?;
    let right = found.iter().zip(&labels).filter(|(found, label)| found == label).count();
    println!("{right} of {} new images right", labels.len());
    if right > 180 { Ok(()) } else { bail!("only {right} of {} images are right", labels.len()) }
}

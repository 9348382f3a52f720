//! SelfNorm and CrossNorm in a model of candle's own modules: channels first, `Conv2d` and `Linear`, variables in a `VarMap`;
//! trained, saved, loaded and evaluated.
//!
//! Run it with `cargo run --release -p sncn-core --example candle_cnn`.

use candle_core::{D, DType, Device, Result, Tensor, bail};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, Optimizer, VarBuilder, VarMap};
use sncn_core::layer::{ChannelsFirst, CrossNorm, CrossNormConfig, Layer, SelfNorm, SelfNormConfig};
use sncn_core::{BuildContext, Pass, Seed};

/// Two convolutions with CrossNorm and SelfNorm after each, and a classifier.
struct Cnn {
    convs: Vec<Conv2d>,
    mixing: Vec<ChannelsFirst<CrossNorm>>,
    gates: Vec<ChannelsFirst<SelfNorm>>,
    classifier: Linear,
    sites: usize,
}

impl Cnn {
    fn new(vb: VarBuilder) -> Result<Self> {
        let cx = BuildContext::new(16, vb.clone());
        let same = Conv2dConfig { padding: 1, ..Default::default() };
        let (mut convs, mut mixing, mut gates) = (Vec::new(), Vec::new(), Vec::new());
        for (i, channels) in [3, 16].into_iter().enumerate() {
            convs.push(candle_nn::conv2d(channels, 16, 3, same, vb.pp(format!("conv{i}")))?);
            mixing.push(ChannelsFirst(CrossNorm::new(CrossNormConfig::default(), &cx)?));
            let gate = cx.at(16, vb.pp(format!("selfnorm{i}")));
            gates.push(ChannelsFirst(SelfNorm::new(SelfNormConfig::default(), &gate)?));
        }
        let classifier = candle_nn::linear(16, 2, vb.pp("classifier"))?;
        Ok(Self { convs, mixing, gates, classifier, sites: cx.sites() })
    }

    /// Images (N, 3, H, W) to scores (N, 2).
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut xs = xs.clone();
        for ((conv, mixing), gate) in self.convs.iter().zip(&self.mixing).zip(&self.gates) {
            // candle's modules and this crate's layers stand side by side
            let ys = conv.forward(&xs)?;
            xs = gate.forward(&mixing.forward(&ys, pass)?, pass)?.relu()?;
        }
        self.classifier.forward(&xs.mean((2, 3))?)
    }
}

/// Images (N, 3, 12, 12) of noise with a bright square or a dark one, and which of both.
fn squares(n: usize, seed: Seed) -> Result<(Tensor, Tensor)> {
    let labels = Tensor::from_iter((0..n as u32).map(|i| i % 2), &Device::Cpu)?;
    let sign = labels.to_dtype(DType::F32)?.affine(4., -2.)?.reshape((n, 1, 1, 1))?;
    let square = Tensor::ones((1, 3, 5, 5), DType::F32, &Device::Cpu)?.pad_with_zeros(2, 3, 4)?.pad_with_zeros(3, 4, 3)?;
    let images = sign.broadcast_mul(&square)?.broadcast_add(&seed.normal((n, 3, 12, 12))?)?;
    Ok((images, labels))
}

fn accuracy(model: &Cnn) -> Result<f32> {
    let (images, labels) = squares(200, Seed::new(3))?;
    let found = model.forward(&images, &Pass::eval())?.argmax(D::Minus1)?;
    found.eq(&labels)?.to_dtype(DType::F32)?.mean_all()?.to_scalar()
}

fn main() -> Result<()> {
    let varmap = VarMap::new();
    let model = Cnn::new(VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu))?;
    let mut optimizer = candle_nn::AdamW::new_lr(varmap.all_vars(), 0.01)?;
    for step in 0..60 {
        let (images, labels) = squares(32, Seed::new(2).fold_in(step))?;
        // in half of the steps one of the sites mixes
        let pass = match step % 2 {
            0 => Pass::train(Seed::new(0).fold_in(step)),
            _ => Pass::mixing(model.sites, 1, Seed::new(0).fold_in(step)),
        };
        let loss = candle_nn::loss::cross_entropy(&model.forward(&images, &pass)?, &labels)?;
        optimizer.backward_step(&loss)?;
        if step % 10 == 9 {
            println!("step {:2}: loss {:.4}", step + 1, loss.to_scalar::<f32>()?);
        }
    }
    let trained = accuracy(&model)?;
    let file = std::env::temp_dir().join(format!("candle_cnn-{}.safetensors", std::process::id()));
    varmap.save(&file)?;
    let mut other = VarMap::new();
    let copy = Cnn::new(VarBuilder::from_varmap(&other, DType::F32, &Device::Cpu))?;
    other.load(&file)?;
    std::fs::remove_file(&file)?;
    let (images, _) = squares(50, Seed::new(4))?;
    let apart = (model.forward(&images, &Pass::eval())? - copy.forward(&images, &Pass::eval())?)?.abs()?.max_all()?;
    println!("{:.1} % of new images right; loaded again it differs by {}", 100. * trained, apart.to_scalar::<f32>()?);
    match trained > 0.9 && apart.to_scalar::<f32>()? == 0. {
        true => Ok(()),
        false => bail!("the model did not learn, or was not loaded as it was saved"),
    }
}

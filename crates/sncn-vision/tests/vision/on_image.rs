//! Layers at the position `image`: against mixing by hand, over AugMix's views, and the gradient of the input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor, Var};
use sncn_core::layer::{Crop, CrossNormConfig};
use sncn_core::loss::{cross_entropy, value};
use sncn_core::pass::BoundingBox;
use sncn_core::{CrossNormDraw, LayerConfig, Network, Pass, Seed, Vars};
use sncn_train::{Batch, MixConfig, Objective};
use sncn_vision::backbone::{Blueprint, build};

const SIDE: usize = 32;

fn crossnorm(crop: Crop) -> LayerConfig {
    let mut layer = LayerConfig::new("crossnorm", "image");
    layer.settings.insert("crop".to_string(), serde_json::to_value(crop).unwrap());
    layer
}

fn network(name: &str, layers: &[LayerConfig], dtype: DType) -> Box<dyn Network> {
    let vars = Vars::new(Seed::new(3), dtype, &Device::Cpu);
    build(name, &Blueprint { classes: 4, layers: layers.into(), vars: &vars }).unwrap()
}

/// Images whose channels differ in mean and contrast.
fn images(count: usize, dtype: DType) -> Tensor {
    let value = |i: usize| {
        let (instance, channel) = (i / (SIDE * SIDE * 3), i % 3);
        ((i * 7919 % 1000) as f64 / 500. - 1.) * (0.2 + 0.1 * (instance % 5) as f64) + 0.1 * (channel + instance) as f64 - 0.3
    };
    let all = Tensor::from_iter((0..count * SIDE * SIDE * 3).map(value), &Device::Cpu).unwrap();
    all.reshape((count, SIDE, SIDE, 3)).unwrap().to_dtype(dtype).unwrap()
}

/// Mean and standard deviation (unbiased, 1e-5 under the root) of a channel of an image in a box.
fn statistics(image: &[f64], channel: usize, bbox: &BoundingBox) -> (f64, f64) {
    let values: Vec<f64> = (bbox.top..bbox.bottom)
        .flat_map(|y| (bbox.left..bbox.right).map(move |x| (y * SIDE + x) * 3 + channel))
        .map(|at| image[at])
        .collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.);
    (mean, (variance + 1e-5).sqrt())
}

/// CrossNorm of images, value by value.
fn by_hand(xs: &Tensor, draw: &CrossNormDraw) -> Tensor {
    let whole = BoundingBox { top: 0, left: 0, bottom: SIDE, right: SIDE };
    let (content, style) = (draw.content.unwrap_or(whole), draw.style.unwrap_or(whole));
    let values = xs.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
    let all: Vec<&[f64]> = values.chunks(SIDE * SIDE * 3).collect();
    let mut mixed = values.clone();
    for (image, (own, &partner)) in mixed.chunks_mut(SIDE * SIDE * 3).zip(all.iter().zip(&draw.partner)) {
        for channel in 0..3 {
            let ((mean, std), (theirs, spread)) = (statistics(own, channel, &content), statistics(all[partner], channel, &style));
            for (y, x) in (content.top..content.bottom).flat_map(|y| (content.left..content.right).map(move |x| (y, x))) {
                let at = (y * SIDE + x) * 3 + channel;
                image[at] = (own[at] - mean) / std * spread + theirs;
            }
        }
    }
    Tensor::from_vec(mixed, xs.shape(), &Device::Cpu).unwrap().to_dtype(xs.dtype()).unwrap()
}

fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    difference.to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
}

#[test]
fn crossnorm_on_the_image_is_what_the_definition_gives() -> Result<()> {
    for (name, dtype, within) in [("wrn10_1", DType::F64, 1e-9), ("allconv", DType::F64, 1e-9), ("wrn10_1", DType::F32, 2e-3)] {
        let (xs, train) = (images(6, dtype), Pass::train(Seed::new(2)).without_dropout());
        for crop in [Crop::Neither, Crop::Style, Crop::Content, Crop::Both] {
            let (plain, mixing) = (network(name, &[], dtype), network(name, &[crossnorm(crop)], dtype));
            ensure!((mixing.sites(), plain.sites()) == (1, 0), "{name}: {} sites", mixing.sites());
            // neither an evaluation pass nor a training pass without mixing changes anything
            ensure!(apart(&mixing.forward(&xs, &Pass::eval())?, &plain.forward(&xs, &Pass::eval())?) == 0., "{name}: evaluation");
            let clean = plain.forward(&xs, &train)?;
            ensure!(apart(&mixing.forward(&xs, &train)?, &clean) == 0., "{name}: a clean pass");
            let config = CrossNormConfig { crop, ..CrossNormConfig::default() };
            let draw = CrossNormDraw::sample(&config, (6, SIDE, SIDE, 3), &mut Seed::new(4).rng())?;
            let want = plain.forward(&by_hand(&xs, &draw), &train)?;
            let got = mixing.forward(&xs, &Pass::with_draws([(0, draw)], Seed::new(2)).without_dropout())?;
            let (off, size) = (apart(&got, &want), apart(&clean, &want));
            ensure!(off <= within * size && size > 0.01, "{name}, {crop:?}, {dtype:?}: off by {off:e} of {size:e}");
        }
    }
    Ok(())
}

#[test]
fn the_three_views_of_augmix_take_each_others_statistics() -> Result<()> {
    let (count, seed) = (4, Seed::new(11));
    let batch = Batch { views: 3, ..Batch::new(images(3 * count, DType::F64), vec![0, 1, 2, 3]) };
    let (objective, mix) = (Objective::Augmix { weight: 12., consistency: None }, Some(MixConfig { probability: 1., active: 1 }));
    let mixing = network("wrn10_1", &[crossnorm(Crop::Neither)], DType::F64);
    let loss = value(&objective.loss(&*mixing, &batch, mix, seed)?)?;
    // the one pass of the step mixes at the one site, from the site's stream
    let mut rng = seed.named("mixing").fold_in(0).named("site").fold_in(0).rng();
    let draw = CrossNormDraw::sample(&CrossNormConfig::default(), (3 * count, SIDE, SIDE, 3), &mut rng)?;
    ensure!(draw.partner.len() == 3 * count && (0..3 * count).any(|n| n / count != draw.partner[n] / count), "{draw:?}");
    let by_hand = Batch { inputs: by_hand(&batch.inputs, &draw), ..batch };
    let want = value(&objective.loss(&*network("wrn10_1", &[], DType::F64), &by_hand, None, seed)?)?;
    ensure!((loss - want).abs() < 1e-9 * want.abs(), "{loss} is not {want}");
    Ok(())
}

#[test]
fn the_gradient_of_the_image_goes_through_both_statistics() -> Result<()> {
    let mixing = network("allconv", &[crossnorm(Crop::Both)], DType::F64);
    let pass = Pass::mixing(1, 1, Seed::new(6)).without_dropout();
    let loss = |xs: &Tensor| cross_entropy(&mixing.forward(xs, &pass)?, &[0, 1, 2], None);
    let xs = Var::from_tensor(&images(3, DType::F64))?;
    let gradient = sncn_core::backward(&loss(xs.as_tensor())?)?;
    let gradient = gradient.get(&xs).unwrap().flatten_all()?.to_vec1::<f64>()?;
    let values = xs.flatten_all()?.to_vec1::<f64>()?;
    let largest = gradient.iter().fold(0f64, |most, value| most.max(value.abs()));
    for at in (0..values.len()).step_by(values.len() / 13) {
        let moved = |by: f64| -> Result<f64> {
            let mut values = values.clone();
            values[at] += by;
            Ok(value(&loss(&Tensor::from_vec(values, xs.shape(), &Device::Cpu)?)?)?)
        };
        let slope = (moved(1e-5)? - moved(-1e-5)?) / 2e-5;
        ensure!((gradient[at] - slope).abs() < 1e-5 * largest, "value {at}: {} is not {slope}", gradient[at]);
    }
    Ok(())
}

#[test]
fn what_the_image_cannot_have_is_refused() {
    let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
    let refused = |layers: &[LayerConfig]| {
        let blueprint = Blueprint { classes: 4, layers: layers.into(), vars: &vars };
        build("wrn10_1", &blueprint).err().unwrap().to_string()
    };
    let staged = LayerConfig { stages: Some(vec![1]), ..crossnorm(Crop::Neither) };
    assert!(refused(&[staged]).contains("layer \"crossnorm\" at \"image\": stages is set"));
    let unknown = refused(&[LayerConfig::new("crossnorm", "picture")]);
    assert!(unknown.contains("this network has: image, pre, residual, identity, post"), "{unknown}");
}

//! CrossNorm with crops of padded sequences: spans inside every text, against plain sums, and its gradient against differences.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor, Var};
use sncn_core::layer::{Layer, LayerConfig, build};
use sncn_core::{BoundingBox, BuildContext, CrossNormDraw, Pass, Seed, Vars};

const LENGTHS: [usize; 4] = [8, 4, 2, 6];
const LONGEST: usize = 8;
const CHANNELS: usize = 3;

fn values() -> Vec<f64> {
    (0..4 * LONGEST * CHANNELS).map(|i| ((i * 37 + i * i * 11) % 101) as f64 / 25. - 2.).collect()
}

fn span(left: usize, right: usize) -> Option<BoundingBox> {
    Some(BoundingBox { top: 0, left, bottom: 1, right })
}

fn mixture(style: Option<BoundingBox>, content: Option<BoundingBox>) -> CrossNormDraw {
    CrossNormDraw { partner: vec![1, 3, 0, 2], channels: None, style, content, blend: None }
}

fn mixed(xs: &Tensor, mixture: &CrossNormDraw) -> Result<Tensor> {
    mixture.forward(xs, &Pass::train(Seed::new(0)).with_lengths(LENGTHS))
}

/// Mean and standard deviation of the tokens of one text and channel.
fn statistics(xs: &[Vec<Vec<f64>>], n: usize, c: usize, (start, end): (usize, usize)) -> (f64, f64) {
    let of: Vec<f64> = xs[n][start..end].iter().map(|token| token[c]).collect();
    let mean = of.iter().sum::<f64>() / of.len() as f64;
    let variance = of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (of.len() - 1) as f64;
    (mean, (variance + 1e-5).sqrt())
}

#[test]
fn a_span_is_the_same_part_of_every_text() -> Result<()> {
    let xs = Tensor::from_vec(values(), (4, LONGEST, CHANNELS), &Device::Cpu)?;
    let plain: Vec<Vec<Vec<f64>>> = xs.to_vec3()?;
    // positions 2 to 6 of 8: the middle half, of two tokens all
    let middle = [(2, 6), (1, 3), (0, 2), (1, 5)];
    let whole = LENGTHS.map(|length| (0, length));
    for (style, content) in [(true, false), (false, true), (true, true)] {
        let pick = |cropped: bool| if cropped { span(2, 6) } else { None };
        let ys: Vec<Vec<Vec<f64>>> = mixed(&xs, &mixture(pick(style), pick(content)))?.to_vec3()?;
        let (from, to) = (if style { middle } else { whole }, if content { middle } else { whole });
        for (n, partner) in [1, 3, 0, 2].into_iter().enumerate() {
            for (i, token) in ys[n].iter().enumerate() {
                for (c, y) in token.iter().enumerate() {
                    let (mean, std) = statistics(&plain, n, c, to[n]);
                    let (other, theirs) = statistics(&plain, partner, c, from[partner]);
                    let x = plain[n][i][c];
                    let want = match i {
                        _ if i >= LENGTHS[n] => 0.,
                        _ if i < to[n].0 || i >= to[n].1 => x,
                        _ => theirs / std * (x - mean) + other,
                    };
                    assert!((y - want).abs() < 1e-9, "style {style}, content {content}, text {n}, token {i}: {y} for {want}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn the_gradient_is_that_of_differences() -> Result<()> {
    let weights = Tensor::from_vec(values().into_iter().rev().collect(), (4, LONGEST, CHANNELS), &Device::Cpu)?;
    let drawn = CrossNormDraw { blend: Some(0.3), ..mixture(span(1, 5), span(3, 8)) };
    let loss = |xs: &Tensor| (mixed(xs, &drawn)? * &weights)?.sum_all();
    let var = Var::from_vec(values(), (4, LONGEST, CHANNELS), &Device::Cpu)?;
    let grads = loss(var.as_tensor())?.backward()?;
    let found: Vec<f64> = grads.get(var.as_tensor()).unwrap().flatten_all()?.to_vec1()?;
    for (i, gradient) in found.iter().enumerate() {
        let moved = |by: f64| {
            let mut values = values();
            values[i] += by;
            loss(&Tensor::from_vec(values, (4, LONGEST, CHANNELS), &Device::Cpu)?)?.to_scalar::<f64>()
        };
        let difference = (moved(1e-5)? - moved(-1e-5)?) / 2e-5;
        assert!((gradient - difference).abs() < 1e-5 * (1. + difference.abs()), "value {i}: {gradient} for {difference}");
    }
    Ok(())
}

#[test]
fn drawn_crops_change_what_is_mixed_and_leave_padding_alone() -> Result<()> {
    let xs = Tensor::from_vec(values(), (4, LONGEST, CHANNELS), &Device::Cpu)?.to_dtype(DType::F32)?;
    let mut all = Vec::new();
    for crop in ["neither", "style", "content", "both"] {
        let mut config = LayerConfig::new("crossnorm", "embedding");
        config.settings.insert("crop".to_string(), crop.into());
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        let layer = build("crossnorm", config.settings, &BuildContext::new(CHANNELS, vars.builder()))?;
        let pass = Pass::mixing(1, 1, Seed::new(5)).with_lengths(LENGTHS);
        let ys: Vec<Vec<Vec<f32>>> = layer.forward(&xs, &pass)?.to_vec3()?;
        for (text, &length) in ys.iter().zip(&LENGTHS) {
            assert!(text[length..].iter().flatten().all(|&y| y == 0.) && text.iter().flatten().all(|y| y.is_finite()), "{crop}");
        }
        assert!(!all.contains(&ys), "{crop} is like another");
        all.push(ys);
    }
    Ok(())
}

//! Statistics of every corruption over many images, each with draws of its own, against the golden ones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::Result;
use sncn_core::Seed;
use sncn_golden::{Tensors, json};
use sncn_vision::corruption::{Dims, Frost, Variant, benchmark, build, extra};

const DIMS: Dims = Dims { height: 32, width: 32 };

/// The metrics of one image: name and value.
fn metrics(before: &[u8], after: &[u8]) -> Vec<(&'static str, f64)> {
    let (b, a): (Vec<f64>, Vec<f64>) =
        (before.iter().map(|&v| f64::from(v)).collect(), after.iter().map(|&v| f64::from(v)).collect());
    let n = b.len() as f64;
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let sd = |x: &[f64]| {
        let m = mean(x);
        (x.iter().map(|v| (v - m) * (v - m)).sum::<f64>() / x.len() as f64).sqrt()
    };
    let channel = |x: &[f64], c: usize| -> Vec<f64> { x.iter().skip(c).step_by(3).copied().collect() };
    let change: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    let mse = change.iter().map(|d| d * d).sum::<f64>() / n;
    let gradient = |x: &[f64], dh: usize, dw: usize| -> f64 {
        let at = |h: usize, w: usize, c: usize| x[(h * DIMS.width + w) * 3 + c];
        let all = (0..DIMS.height - dh).flat_map(|h| (0..DIMS.width - dw).flat_map(move |w| (0..3).map(move |c| (h, w, c))));
        let diffs: Vec<f64> = all.map(|(h, w, c)| (at(h + dh, w + dw, c) - at(h, w, c)).abs()).collect();
        mean(&diffs)
    };
    let (red, green) = (channel(&change, 0), channel(&change, 1));
    let (red_mean, green_mean) = (mean(&red), mean(&green));
    let product: Vec<f64> = red.iter().zip(&green).map(|(r, g)| (r - red_mean) * (g - green_mean)).collect();
    let spread = sd(&red) * sd(&green);
    let mut list = vec![
        ("mad", change.iter().map(|d| d.abs()).sum::<f64>() / n),
        ("psnr", 10.0 * (255.0 * 255.0 / mse.max(1e-3)).log10()),
        ("hgrad_ratio", gradient(&a, 0, 1) / gradient(&b, 0, 1)),
        ("vgrad_ratio", gradient(&a, 1, 0) / gradient(&b, 1, 0)),
        ("diff_corr_rg", if spread > 0.0 { mean(&product) / spread } else { 0.0 }),
    ];
    let shift = ["mean_shift_r", "mean_shift_g", "mean_shift_b"];
    let ratio = ["std_ratio_r", "std_ratio_g", "std_ratio_b"];
    for c in 0..3 {
        list.push((shift[c], mean(&channel(&a, c)) - mean(&channel(&b, c))));
        list.push((ratio[c], sd(&channel(&a, c)) / sd(&channel(&b, c))));
    }
    list
}

pub(crate) fn golden_statistics() -> Result<()> {
    let golden = json("corruptions/statistics.json").unwrap();
    let images = Tensors::load("corruptions/images.safetensors").unwrap().u8("stat_images").unwrap();
    let count = images.shape[0];
    let (mut out, frost) = (vec![0; images.data.len()], Frost::generated(Seed::new(0)));
    // the benchmark's frost textures are photographs; with generated ones the statistics are others
    for name in benchmark().chain(extra()).filter(|name| *name != "frost") {
        for severity in 1..=5 {
            let generator = build(name, severity, Variant::Cifar, &frost).unwrap();
            generator.apply_batch(&images.data, DIMS, Seed::new(3), 0, &mut out).unwrap();
            let mut sums = std::collections::BTreeMap::new();
            for (before, after) in images.data.chunks(DIMS.bytes()).zip(out.chunks(DIMS.bytes())) {
                for (metric, value) in metrics(before, after) {
                    *sums.entry(metric).or_insert(0.0) += value / count as f64;
                }
            }
            for (metric, want) in golden["statistics"][name][severity - 1].as_object().unwrap() {
                let (mean, sd) = (want["mean"].as_f64().unwrap(), want["within_image_sd"].as_f64().unwrap());
                let limit = match sd {
                    0.0 => 1e-2 * mean.abs() + 0.05,
                    sd => 5.0 * sd * (1.0 / 500.0 + 1.0 / 2000.0f64).sqrt() + 1e-3 * mean.abs() + 1e-4,
                };
                let got = sums[metric.as_str()];
                assert!((got - mean).abs() <= limit, "{name} {severity} {metric}: {got}, reference {mean}, limit {limit}");
            }
        }
    }
    Ok(())
}

//! The whole registry, free-running: golden statistics, the Poisson sampler, any size, threads, errors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use rand::{Rng, RngExt};
use sncn_core::Seed;
use sncn_golden::{Tensors, json};
use sncn_vision::corruption::noise::Poisson;
use sncn_vision::corruption::{CORRUPTIONS, Dims, Frost, Variant, build};
use std::sync::LazyLock;

const DIMS: Dims = Dims { height: 32, width: 32 };

static FROST: LazyLock<Frost> = LazyLock::new(|| Frost::generated(Seed::new(0)));

fn frost() -> &'static Frost {
    &FROST
}

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

fn golden_statistics() {
    let golden = json("corruptions/statistics.json").unwrap();
    let images = Tensors::load("corruptions/images.safetensors").unwrap().u8("stat_images").unwrap();
    let count = images.shape[0];
    let mut out = vec![0; images.data.len()];
    // the benchmark's frost textures are photographs; with generated ones the statistics are others
    for name in CORRUPTIONS.iter().map(|entry| entry.name).filter(|name| *name != "frost") {
        for severity in 1..=5 {
            let generator = build(name, severity, Variant::Cifar, frost()).unwrap();
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
}

fn poisson_has_the_moments_of_its_rate() {
    let mut rng = Seed::new(11).named("poisson").rng();
    assert!((0..1000).all(|_| Poisson::new(0.0).sample(rng.random()) == 0));
    let draws = 200_000;
    for rate in [0.05f64, 0.3, 1.0, 2.7, 10.0, 49.5, 100.0, 237.3, 500.0] {
        let sampler = Poisson::new(rate);
        let values: Vec<f64> = (0..draws).map(|_| f64::from(sampler.sample(rng.next_u64()))).collect();
        let n = draws as f64;
        let moment = |k: i32| values.iter().map(|v| (v - rate).powi(k)).sum::<f64>() / n;
        // central moments: λ, λ, 3 λ² + λ, 15 λ³ + 25 λ² + λ
        let fourth = 3.0 * rate * rate + rate;
        let sixth = 15.0 * rate.powi(3) + 25.0 * rate * rate + rate;
        let within = |got: f64, want: f64, variance: f64| {
            assert!((got - want).abs() <= 5.0 * (variance / n).sqrt(), "rate {rate}: {got}, wanted {want}");
        };
        within(moment(1), 0.0, rate);
        within(moment(2), rate, fourth - rate * rate);
        within(moment(3), rate, sixth - rate * rate);
        let zeros = values.iter().filter(|v| **v == 0.0).count() as f64 / n;
        within(zeros, (-rate).exp(), (-rate).exp() * (1.0 - (-rate).exp()) + 1e-9);
    }
}

fn any_size_any_threads_any_batches() {
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    for (height, width) in [(17, 33), (1, 1), (48, 32), (2, 5)] {
        let dims = Dims { height, width };
        let mut images = vec![0; 5 * dims.bytes()];
        Seed::new(5).rng().fill_bytes(&mut images);
        for name in CORRUPTIONS.iter().map(|entry| entry.name) {
            for (severity, variant) in [(1, Variant::Cifar), (3, Variant::Cifar), (5, Variant::Cifar), (4, Variant::Imagenet)] {
                let generator = build(name, severity, variant, frost()).unwrap();
                let results = pools.each_ref().map(|pool| {
                    let mut out = vec![0; images.len()];
                    pool.install(|| generator.apply_batch(&images, dims, Seed::new(1), 7, &mut out)).unwrap();
                    out
                });
                assert_eq!(results[0], results[1], "{name} {severity} {dims:?}: threads");
                let mut single = vec![0; dims.bytes()];
                let last = 4 * dims.bytes();
                generator.apply_one(&images[last..], dims, Seed::new(1), 11, &mut single).unwrap();
                assert_eq!(single, results[0][last..], "{name} {severity} {dims:?}: cut into batches");
            }
        }
    }
}

fn wrong_requests_are_explained() {
    let text = |name, severity| build(name, severity, Variant::Cifar, frost()).err().unwrap().to_string();
    assert!(text("rain", 1).contains("gaussian_noise") && text("rain", 1).contains("saturate"));
    assert!(text("contrast", 0).contains("1, 2, 3, 4 or 5") && text("contrast", 6).contains("severity 6"));
    let contrast = build("contrast", 1, Variant::Cifar, frost()).unwrap();
    assert!(contrast.apply_batch(&[0; 10], DIMS, Seed::new(0), 0, &mut [0; 10]).is_err());
    assert!(contrast.apply_one(&[0; 3072], DIMS, Seed::new(0), 0, &mut [0; 10]).is_err());
    assert!(contrast.apply_one(&[], Dims { height: 0, width: 4 }, Seed::new(0), 0, &mut []).is_err());
}

fn main() -> std::process::ExitCode {
    sncn_golden::run(vec![
        ("golden_statistics", golden_statistics, || sncn_golden::lacks("corruptions/statistics.json")),
        ("poisson_has_the_moments_of_its_rate", poisson_has_the_moments_of_its_rate, || None),
        ("any_size_any_threads_any_batches", any_size_any_threads_any_batches, || None),
        ("wrong_requests_are_explained", wrong_requests_are_explained, || None),
    ])
}

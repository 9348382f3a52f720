//! The whole registry of corruptions: the Poisson sampler, any size, threads, errors.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop")]

use rand::{Rng, RngExt};
use sncn_core::Seed;
use sncn_vision::corruption::noise::Poisson;
use sncn_vision::corruption::{CORRUPTIONS, Dims, Frost, Variant, build};
use std::sync::LazyLock;

const DIMS: Dims = Dims { height: 32, width: 32 };

static FROST: LazyLock<Frost> = LazyLock::new(|| Frost::generated(Seed::new(0)));

fn frost() -> &'static Frost {
    &FROST
}

#[test]
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

#[test]
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

#[test]
fn wrong_requests_are_explained() {
    let text = |name, severity| build(name, severity, Variant::Cifar, frost()).err().unwrap().to_string();
    assert!(text("rain", 1).contains("gaussian_noise") && text("rain", 1).contains("saturate"));
    assert!(text("contrast", 0).contains("1, 2, 3, 4 or 5") && text("contrast", 6).contains("severity 6"));
    let contrast = build("contrast", 1, Variant::Cifar, frost()).unwrap();
    assert!(contrast.apply_batch(&[0; 10], DIMS, Seed::new(0), 0, &mut [0; 10]).is_err());
    assert!(contrast.apply_one(&[0; 3072], DIMS, Seed::new(0), 0, &mut [0; 10]).is_err());
    assert!(contrast.apply_one(&[], Dims { height: 0, width: 4 }, Seed::new(0), 0, &mut []).is_err());
}

/// In an image of one colour the rounding of the mean decides. The values are those of the published formula in NumPy 2.4.
#[test]
fn contrast_of_one_colour_is_rounded_as_published() {
    let contrast = build("contrast", 1, Variant::Imagenet, frost()).unwrap();
    for (height, width, wanted) in [
        (32, 32, [(1, 0), (77, 77), (128, 127), (200, 199), (255, 255)]),
        (61, 97, [(1, 0), (77, 76), (128, 127), (200, 200), (254, 254)]),
    ] {
        let dims = Dims { height, width };
        for (value, want) in wanted {
            let mut out = vec![0; dims.bytes()];
            contrast.apply_one(&vec![value; dims.bytes()], dims, Seed::new(0), 0, &mut out).unwrap();
            assert!(out.iter().all(|&found| found == want), "{height} × {width} of {value}: {}", out[0]);
        }
    }
}

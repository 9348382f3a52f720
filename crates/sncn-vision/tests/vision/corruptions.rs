//! The whole registry of corruptions: the Poisson sampler, any size, threads, errors.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop")]

use rand::{Rng, RngExt};
use sncn_core::Seed;
use sncn_vision::corruption::noise::Poisson;
use sncn_vision::corruption::spatter::Spatter;
use sncn_vision::corruption::zoom::Zoom;
use sncn_vision::corruption::{CORRUPTIONS, Dims, Frost, Scratch, Variant, build, truncate};
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
    // the last is worked on in strips
    for (height, width) in [(17, 33), (1, 1), (48, 32), (2, 5), (150, 190)] {
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

/// The published code takes the low 8 bits of the water's level times 255, so levels above 1 begin again at 0. The values are those of its
/// steps in OpenCV 5.0, NumPy 2.4 and scikit-image 0.26.
#[test]
fn water_above_its_highest_level_begins_again_as_published() {
    let (dims, spatter) = (Dims { height: 24, width: 32 }, Spatter::new(3, Variant::Cifar).unwrap());
    let level = |x: usize| match x {
        0..12 => 0.6,
        12..22 => 1.3,
        _ => 0.1,
    };
    let draw = |i: usize| (i / 32, i % 32);
    let z: Vec<f32> =
        (0..dims.pixels()).map(draw).map(|(y, x)| (level(x) + 0.05 * ((3 * y + 5 * x) % 7) as f64 - 0.15) as f32).collect();
    let (mut strength, mut y, mut out) = (vec![0.0; dims.pixels()], vec![0.0; dims.bytes()], vec![0; dims.bytes()]);
    spatter.strength(dims, &z, &mut Scratch::default(), &mut strength);
    spatter.float(&vec![40; dims.bytes()], &strength, &mut y);
    truncate(&y, &mut out);
    let reds: Vec<u8> = out[3 * 12 * 32..][..96].iter().step_by(3).copied().collect();
    let wanted = [
        125, 119, 107, 103, 102, 91, 74, 59, 51, 47, 42, 40, 40, 40, 42, 43, 42, 41, 40, 40, 40, 40, 54, 80, 40, 40, 40, 40, 40,
        40, 40, 40,
    ];
    assert_eq!(reds, wanted);
    assert_eq!(out.iter().map(|&v| u32::from(v)).sum::<u32>(), 140_609);
}

/// Where the height is even and no multiple of 16, the last row of halved chroma is repeated and not that of the image. The values are
/// Pillow's.
#[test]
fn jpeg_repeats_the_last_row_of_chroma_below_the_image() {
    let dims = Dims { height: 20, width: 8 };
    let value = |i: usize| {
        let (y, x, c) = (i / 24, i / 3 % 8, i % 3);
        ((37 * y + 11 * x * (c + 1) + 90 * c + (y * x * (c + 2)) % 50) % 256) as u8
    };
    let image: Vec<u8> = (0..dims.bytes()).map(value).collect();
    let mut out = vec![0; dims.bytes()];
    let jpeg = build("jpeg_compression", 3, Variant::Imagenet, frost()).unwrap();
    jpeg.apply_one(&image, dims, Seed::new(0), 0, &mut out).unwrap();
    let wanted =
        [165, 74, 105, 183, 95, 133, 193, 113, 164, 189, 118, 174, 179, 122, 177, 172, 131, 165, 166, 140, 139, 158, 141, 121];
    assert_eq!(out[19 * 24..], wanted);
    assert_eq!(out.iter().map(|&v| u32::from(v)).sum::<u32>(), 62_062);
}

/// In some sizes the last position of a zoom lies outside the image by rounding, and is 0, as in the published code.
#[test]
fn the_last_row_of_some_zooms_is_black() {
    for (side, factor, inside) in [(36, 1.2, 35), (320, 2.5, 319), (240, 2.5, 240)] {
        let (zoom, ones) = (Zoom::new(side, side, factor), vec![[1.0]; side * side]);
        let mut rows = Vec::new();
        zoom.each_row(0..side, (0, &ones), &mut vec![[0.0]; 2 * side], |_, row| rows.push(row.to_vec()));
        for (h, row) in rows.iter().enumerate() {
            for (w, &[value]) in row.iter().enumerate() {
                let wanted = if h < inside && w < inside { 1.0 } else { 0.0 };
                assert!((value - wanted).abs() < 1e-12, "{side} × {factor}: {value} at {h}, {w}");
            }
        }
    }
}

//! Images per second of every corruption: 32 × 32 images, severity 3, one thread, with the ratio to published rates.
//!
//! It also checks that one and two threads give the same bytes, and prints their speed-up.
//! Run with `cargo run -p sncn-vision --example corruption_speed`, with the name of a corruption for that one alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use anyhow::{Result, ensure};
use sncn_core::Seed;
use sncn_vision::corruption::{CORRUPTIONS, Dims, Frost, Group, Variant, build};
use std::time::Instant;

/// Rates of the published Python generator in images per second on one core, the faster of two library generations.
const REFERENCE: &[(&str, f64)] = &[
    ("gaussian_noise", 19539.0),
    ("shot_noise", 6992.0),
    ("impulse_noise", 20991.0),
    ("defocus_blur", 10520.0),
    ("glass_blur", 247.0),
    ("motion_blur", 1721.0),
    ("zoom_blur", 874.0),
    ("contrast", 26591.0),
    ("brightness", 3734.0),
    ("speckle_noise", 19265.0),
    ("gaussian_blur", 20830.0),
    ("saturate", 3776.0),
    ("snow", 1926.0),
    ("frost", 216.0),
    ("fog", 4244.0),
    ("elastic_transform", 3408.0),
    ("pixelate", 47426.0),
    ("jpeg_compression", 18543.0),
    ("spatter", 6879.0),
];

/// The published harmonic mean over the benchmark's corruptions, images per second.
const REFERENCE_MEAN: f64 = 1130.0;

const DIMS: Dims = Dims { height: 32, width: 32 };
const IMAGES: usize = 500;

/// Smooth colour gradients with a texture, different for every image.
fn images() -> Vec<u8> {
    let value = |i: usize| {
        let (image, pixel, channel) = (i / DIMS.bytes(), i % DIMS.bytes() / 3, i % 3);
        let (h, w) = (pixel / 32, pixel % 32);
        (h * (3 + image % 5) + w * (2 + channel) + (h * w * (image % 7)) % 61 + 40 * (image % 3)) % 256
    };
    (0..IMAGES * DIMS.bytes()).map(|i| value(i) as u8).collect()
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

fn main() -> Result<()> {
    let frost = frost()?;
    let images = images();
    let pools = [1, 2].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build());
    let [one, two] = pools;
    let (one, two) = (one?, two?);
    let mut out = vec![0; images.len()];
    let mut microseconds = Vec::new();
    println!("{:18} {:>10} {:>8} {:>9} {:>10}  checksum", "corruption", "img/s", "us/img", "x publ.", "2 threads");
    let only = std::env::args().nth(1);
    for entry in CORRUPTIONS.iter().filter(|entry| only.as_deref().is_none_or(|only| only == entry.name)) {
        let name = entry.name;
        let generator = build(name, 3, Variant::Cifar, &frost)?;
        let mut best = [f64::INFINITY; 2];
        let mut sums = [0; 2];
        for (slot, pool) in [&one, &two].into_iter().enumerate() {
            for _ in 0..4 {
                let start = Instant::now();
                pool.install(|| generator.apply_batch(&images, DIMS, Seed::new(1), 0, &mut out))?;
                best[slot] = best[slot].min(start.elapsed().as_secs_f64());
            }
            sums[slot] = checksum(&out);
        }
        ensure!(sums[0] == sums[1], "{name}: two threads give other bytes than one");
        let rate = IMAGES as f64 / best[0];
        if entry.group == Group::Benchmark {
            microseconds.push(1e6 / rate);
        }
        let ratio = REFERENCE.iter().find(|r| r.0 == name).map_or("-".into(), |r| format!("{:.2}", rate / r.1));
        println!("{name:18} {rate:10.0} {:8.2} {ratio:>9} {:9.2}x  {:016x}", 1e6 / rate, best[0] / best[1], sums[0]);
    }
    if only.is_some() {
        return Ok(());
    }
    let count = microseconds.len();
    let mean = 1e6 * count as f64 / microseconds.iter().sum::<f64>();
    println!(
        "harmonic mean over the {count} of the benchmark: {mean:.0} img/s, {:.1} x published ({REFERENCE_MEAN})",
        mean / REFERENCE_MEAN
    );
    Ok(())
}

fn frost() -> Result<Frost> {
    Ok(Frost::generated(Seed::new(0)))
}

//! Images per second of every augmentation on one thread, 32 × 32 images: the best and the median of several readings.
//!
//! Run with `cargo run -p sncn-vision --example augment_speed`; a number after it sets the readings (default 31).
#![allow(missing_docs, reason = "an example")]

use anyhow::{Context, Result};
use sncn_core::Seed;
use sncn_vision::augment::augmix::{AUGMIX, AugMixDraw, DEFAULT_OPERATIONS, mix};
use sncn_vision::augment::crop::{Edge, crop_and_flip};
use sncn_vision::augment::{AugMix, Augment, Policy};
use sncn_vision::corruption::Dims;
use sncn_vision::preprocess::Normalisation;
use std::time::Instant;

/// Views per second on one core of the published Python code (crop, mixture and normalisation).
const REFERENCE: f64 = 2023.0;

const DIMS: Dims = Dims { height: 32, width: 32 };
const IMAGES: usize = 1000;
const GROUP: usize = 20;

/// Smooth colour gradients with a texture, different for every image.
fn images() -> Vec<u8> {
    let value = |i: usize| {
        let (image, pixel, channel) = (i / DIMS.bytes(), i % DIMS.bytes() / 3, i % 3);
        let (h, w) = (pixel / 32, pixel % 32);
        (h * (3 + image % 5) + w * (2 + channel) + (h * w * (image % 7)) % 61 + 40 * (image % 3)) % 256
    };
    (0..IMAGES * DIMS.bytes()).map(|i| value(i) as u8).collect()
}

/// Best and median images per second: those of every group's readings, summed over the groups.
///
/// A group takes less than a time slice, so other programs disturb few of its readings.
fn rates(readings: usize, images: &[u8], mut one: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<(f64, f64)> {
    let (mut best, mut median) = (0.0, 0.0);
    for (g, group) in images.chunks(GROUP * DIMS.bytes()).enumerate() {
        let mut seconds = Vec::new();
        for _ in 0..readings.max(1) {
            let start = Instant::now();
            for (i, image) in group.chunks_exact(DIMS.bytes()).enumerate() {
                one(g * GROUP + i, image)?;
            }
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        best += seconds[0];
        median += seconds[seconds.len() / 2];
    }
    Ok((IMAGES as f64 / best, IMAGES as f64 / median))
}

fn print(name: &str, (best, median): (f64, f64)) {
    println!("{name:24} {best:10.0} {median:10.0} {:10.2}", 1e6 / best);
}

fn main() -> Result<()> {
    let readings = std::env::args().nth(1).map_or(Ok(31), |n| n.parse()).context("the number of readings")?;
    let (images, settings) = (images(), AugMix::default());
    println!("{:24} {:>10} {:>10} {:>10}", "augmentation", "best /s", "median /s", "us (best)");
    let (mut crop, mut buffers, mut drawn) = (vec![0; DIMS.bytes()], Default::default(), AugMixDraw::default());
    let mut view = vec![0f32; DIMS.bytes()];
    let one = rates(readings, &images, |i, image| {
        let seed = Seed::new(1).fold_in(i as u64);
        crop_and_flip(image, DIMS, Edge::Black, seed, &mut crop);
        settings.draw(DIMS, &mut seed.named("augmix").rng(), &mut drawn);
        mix(&drawn, &crop, DIMS, &mut buffers, &mut view);
        Ok(())
    })?;
    print("augmix, one view", one);
    println!("{:24} {:10.2} {:10.2}", "  x published", one.0 / REFERENCE, one.1 / REFERENCE);
    let kinds = [
        ("crop_flip", Augment::CropFlip {}),
        ("cutout", Augment::Cutout { size: 16 }),
        ("autoaugment", Augment::Autoaugment { policy: Policy::Cifar10, cutout: None }),
        ("augmix, three views", Augment::Augmix(settings)),
    ];
    for (name, augment) in kinds {
        let mut out = vec![0f32; augment.views() * DIMS.bytes()];
        let mut places: Vec<&mut [f32]> = out.chunks_exact_mut(DIMS.bytes()).collect();
        let rate = rates(readings, &images, |i, image| {
            let seed = Seed::new(1).fold_in(i as u64);
            crop_and_flip(image, DIMS, Edge::Black, seed, &mut crop);
            augment.apply(&crop, DIMS, &Normalisation::CIFAR, seed, &mut places)
        })?;
        print(name, rate);
    }
    println!("operations alone, level 2");
    for (i, entry) in AUGMIX.iter().enumerate() {
        let parameter = (entry.parameter)(2.0, DIMS);
        let rate = rates(readings, &images, |_, image| {
            (entry.operation)(image, DIMS, parameter, &mut crop);
            Ok(())
        })?;
        print(&format!("{}{}", entry.name, if i < DEFAULT_OPERATIONS { "" } else { " (all)" }), rate);
    }
    Ok(())
}

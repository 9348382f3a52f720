//! Images a second of AugMix and of the corruption generator, 32 × 32, severity 3.

use crate::augment::{AugMix, Augment, crop};
use crate::corruption::{Dims, Frost, Variant, benchmark, build};
use crate::preprocess::Normalisation;
use anyhow::Result;
use rayon::prelude::*;
use sncn_core::Seed;
use sncn_train::harness::bench::{Meter, emit};

const DIMS: Dims = Dims { height: 32, width: 32 };

/// Images of a measurement.
const IMAGES: usize = 1000;

/// Smooth colour gradients with a texture, different for every image: the peer draws the same.
fn textures() -> Vec<u8> {
    let value = |i: usize| {
        let (image, pixel, channel) = (i / DIMS.bytes(), i % DIMS.bytes() / 3, i % 3);
        let (h, w) = (pixel / DIMS.width, pixel % DIMS.width);
        (h * (3 + image % 5) + w * (2 + channel) + (h * w * (image % 7)) % 61 + 40 * (image % 3)) % 256
    };
    (0..IMAGES * DIMS.bytes()).map(|i| value(i) as u8).collect()
}

/// Views of AugMix (each two chains more than a copy), then every corruption of the benchmark and their harmonic mean.
pub(super) fn run(meter: &Meter) -> Result<()> {
    let images = textures();
    let augmix = Augment::Augmix(AugMix::default());
    let views = augmix.views();
    let mut out = vec![0f32; views * images.len()];
    let seconds = meter.seconds(|| {
        let each = out.par_chunks_exact_mut(views * DIMS.bytes()).zip(images.par_chunks_exact(DIMS.bytes())).enumerate();
        each.map(|(i, (out, image))| {
            let (seed, mut cropped) = (Seed::new(3).fold_in(i as u64), [0; DIMS.bytes()]);
            crop::crop_and_flip(image, DIMS, crop::Edge::Black, seed, &mut cropped);
            let mut places: Vec<&mut [f32]> = out.chunks_exact_mut(DIMS.bytes()).collect();
            augmix.apply(&cropped, DIMS, &Normalisation::CIFAR, seed, &mut places)
        })
        .collect::<Result<()>>()
    })?;
    // the first view is the crop itself
    emit("AugMix", "views", ((views - 1) * IMAGES) as f64 / seconds, "images/s");
    let (frost, mut out, mut sum) = (Frost::generated(Seed::new(0)), vec![0; images.len()], 0.);
    for name in benchmark() {
        let generator = build(name, 3, Variant::Cifar, &frost)?;
        let seconds = meter.seconds(|| generator.apply_batch(&images, DIMS, Seed::new(1), 0, &mut out))?;
        emit(&format!("corruption {name}"), "severity 3", IMAGES as f64 / seconds, "images/s");
        sum += seconds / IMAGES as f64;
    }
    emit("corruptions", "harmonic mean", benchmark().count() as f64 / sum, "images/s");
    Ok(())
}

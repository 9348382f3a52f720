//! Milliseconds that each of the 19 corruptions takes for an image of 640 × 427 pixels, severity 3 of ImageNet-C.

use crate::corruption::{CORRUPTIONS, Dims, Frost, Variant, build};
use anyhow::Result;
use sncn_core::Seed;
use sncn_train::harness::bench::{Meter, emit};

const DIMS: Dims = Dims { height: 427, width: 640 };

/// Smooth colour gradients with a texture: the peer draws the same.
fn image() -> Vec<u8> {
    let value = |i: usize| {
        let (h, w, c) = (i / 3 / DIMS.width, i / 3 % DIMS.width, i % 3);
        (h / 3 + w * (2 + c) / 9 + (h * w) % 61) % 256
    };
    (0..DIMS.bytes()).map(|i| value(i) as u8).collect()
}

/// Every corruption.
pub(super) fn run(meter: &Meter) -> Result<()> {
    let (image, frost, mut out) = (image(), Frost::generated(Seed::new(0)), vec![0; DIMS.bytes()]);
    for name in CORRUPTIONS.iter().map(|entry| entry.name) {
        let generator = build(name, 3, Variant::Imagenet, &frost)?;
        let seconds = meter.seconds(|| generator.apply_one(&image, DIMS, Seed::new(1), 0, &mut out))?;
        emit(&format!("photograph {name}"), "640 x 427, severity 3", 1e3 * seconds, "ms");
    }
    Ok(())
}

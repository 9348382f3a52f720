//! RandAugment (Cubuk, Zoph, Shlens, Le 2020, arXiv:1909.13719) as FixMatch has it (Sohn et al. 2020, arXiv:2001.07685): operations that
//! are drawn with replacement, each applied half of the time at a strength drawn from 1 to 9, then a grey square.
//!
//! Strength v: brightness, color, contrast and sharpness blend with factor 0.9·v/10 + 0.05; posterize keeps ⌊4v/10⌋ + 4 bits; rotation is
//! by ±⌊3v⌋°, shear by ±0.03·v, translation by ±⌊0.03·v·side⌋ pixels; solarize inverts from 256 − ⌊25.6·v⌋ on. What an affine operation
//! moves takes the nearest pixel, or black.

use super::level::{AUTOCONTRAST, EQUALIZE, Levelled, ROTATE_NEAREST, SHEAR_Y_NEAREST, SOLARIZE, fraction, int, none};
use super::operation::{OperationCall, chain};
use super::{affine, cutout, enhance, table};
use crate::corruption::Dims;
use anyhow::{Result, ensure};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The strengths that are drawn: 10, the end of the range, never is.
const STRENGTHS: std::ops::Range<u32> = 1..10;

/// The factor of the four enhancements, 0.14 to 0.86.
fn factor(level: f64, _: Dims) -> f64 {
    fraction(level, 0.9) + 0.05
}

fn shift(level: f64, side: usize) -> f64 {
    int(level, 0.3 * side as f64)
}

/// The operations that are drawn from.
pub const RANDAUGMENT: [Levelled; 14] = [
    AUTOCONTRAST,
    Levelled::plain("brightness", enhance::brightness, factor),
    Levelled::plain("color", enhance::color, factor),
    Levelled::plain("contrast", enhance::contrast, factor),
    EQUALIZE,
    Levelled::plain("identity", table::identity, none),
    Levelled::plain("posterize", table::posterize, |level, _| 4.0 + int(level, 4.0)),
    ROTATE_NEAREST,
    Levelled::plain("sharpness", enhance::sharpness, factor),
    Levelled::signed("shear_x_nearest", affine::shear_x_nearest, |level, _| fraction(level, 0.3)),
    SHEAR_Y_NEAREST,
    SOLARIZE,
    Levelled::signed("translate_x_nearest", affine::translate_x_nearest, |level, dims| shift(level, dims.width)),
    Levelled::signed("translate_y_nearest", affine::translate_y_nearest, |level, dims| shift(level, dims.height)),
];

/// The settings of RandAugment; the defaults are FixMatch's for CIFAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Operations that are drawn, at least 1.
    pub operations: usize,
    /// Side of the grey square in pixels, 0 for none.
    pub cutout: usize,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { operations: 2, cutout: cutout::SIZE }
    }
}

/// All random values of one image.
#[derive(Clone, Debug, Default)]
pub struct RandAugmentDraw {
    /// The operations that are applied, in order.
    pub calls: Vec<OperationCall>,
    /// Side and centre (x, y) of the grey square; `None` for none.
    pub cutout: Option<(usize, (f64, f64))>,
}

impl RandAugment {
    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.operations >= 1, "randaugment: operations is 0; use at least 1, or the kind crop_flip");
        Ok(())
    }

    /// Draws for an image of size `dims` into `drawn`, whose old values are replaced.
    pub(crate) fn draw(&self, dims: Dims, rng: &mut ChaCha8Rng, drawn: &mut RandAugmentDraw) {
        drawn.calls.clear();
        for _ in 0..self.operations {
            let choice = &RANDAUGMENT[rng.random_range(0..RANDAUGMENT.len())];
            let strength = f64::from(rng.random_range(STRENGTHS));
            let applied = rng.random_bool(0.5);
            let call = choice.call(strength, dims, rng);
            drawn.calls.extend(applied.then_some(call));
        }
        let mut place = |side: usize| rng.random::<f64>() * side as f64;
        let (x, y) = (place(dims.width), place(dims.height));
        drawn.cutout = (self.cutout > 0).then_some((self.cutout, (x, y)));
    }
}

/// Applies a draw to an image and gives the result, which is in one of the two buffers.
pub fn apply<'a>(drawn: &RandAugmentDraw, image: &[u8], dims: Dims, buffers: &'a mut [Vec<u8>; 2]) -> &'a [u8] {
    let [result, spare] = buffers;
    result.resize(image.len(), 0);
    spare.resize(image.len(), 0);
    chain(&drawn.calls, image, dims, spare, result);
    let Some((size, centre)) = drawn.cutout else { return result };
    cutout::cutout_bytes(result, dims, size as f64, centre, spare);
    spare
}

#[cfg(test)]
mod tests {
    use super::*;
    use sncn_core::Seed;

    #[test]
    fn operations_and_strengths_are_uniform_and_applied_half_of_the_time() {
        let (dims, mut rng, mut drawn) = (Dims::square(32), Seed::new(1).rng(), RandAugmentDraw::default());
        let (mut applied, mut centres) = (0, [0.; 2]);
        let draws = 4000;
        for _ in 0..draws {
            RandAugment::default().draw(dims, &mut rng, &mut drawn);
            applied += drawn.calls.len();
            let (size, (x, y)) = drawn.cutout.unwrap();
            assert!(size == 16 && (0. ..32.).contains(&x) && (0. ..32.).contains(&y));
            centres = [centres[0] + x / f64::from(draws), centres[1] + y / f64::from(draws)];
            // a rotation is by at most 27 degrees: strength 10 is never drawn
            let is_rotation = |call: &&OperationCall| std::ptr::fn_addr_eq(call.operation, ROTATE_NEAREST.operation);
            let rotations = drawn.calls.iter().filter(is_rotation);
            rotations.for_each(|call| assert!((3. ..=27.).contains(&call.parameter.abs()), "{}", call.parameter));
        }
        let share = applied as f64 / (2. * f64::from(draws));
        assert!((share - 0.5).abs() < 0.02 && centres.iter().all(|mean| (mean - 16.).abs() < 0.5), "{share} {centres:?}");
    }

    #[test]
    fn without_a_square_and_operations_the_image_stays() {
        let dims = Dims::square(8);
        let image: Vec<u8> = (0..dims.bytes()).map(|i| (i * 5 % 256) as u8).collect();
        assert_eq!(apply(&RandAugmentDraw::default(), &image, dims, &mut Default::default()), image);
        let square = RandAugmentDraw { calls: Vec::new(), cutout: Some((4, (4., 4.))) };
        let hidden = apply(&square, &image, dims, &mut Default::default()).iter().filter(|&&v| v == 127).count();
        assert!(hidden >= 5 * 5 * 3, "{hidden}");
    }
}

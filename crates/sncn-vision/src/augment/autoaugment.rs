//! AutoAugment's policy for CIFAR-10 (Cubuk, Zoph, Mané, Vasudevan, Le 2019, arXiv:1805.09501, appendix): one of 25 pairs
//! of operations, each of which is applied with its own probability at its own magnitude.
//!
//! A magnitude M in 0..=9 is M tenths of the operation's range, as in the authors' code. Ranges: shear 0.3; translation 10
//! pixels of 32 (the authors' CIFAR code; the paper's table gives 150 for ImageNet); rotation 30°; solarize 256 down to 0;
//! posterize 8 bits down to 4 (the paper's range; the code keeps 4 bits down to 0); color, contrast, brightness and
//! sharpness 0.1 to 1.9. Shear, translation and rotation are negative half of the time. Affine operations sample the nearest
//! pixel and fill with black.

use super::level::{AUTOCONTRAST, BRIGHTNESS, COLOR, CONTRAST, EQUALIZE, Levelled, SHARPNESS, SOLARIZE, fraction, int, none};
use super::operation::OperationCall;
use super::{affine, table};
use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Translation range as a fraction of the side.
const TRANSLATION: f64 = 10.0 / 32.0;

const SHEAR_Y: Levelled = Levelled::signed("shear_y_nearest", affine::shear_y_nearest, |level, _| fraction(level, 0.3));
const TRANSLATE_X: Levelled = Levelled::signed("translate_x_nearest", affine::translate_x_nearest, |level, dims| {
    int(level, TRANSLATION * dims.width as f64)
});
const TRANSLATE_Y: Levelled = Levelled::signed("translate_y_nearest", affine::translate_y_nearest, |level, dims| {
    int(level, TRANSLATION * dims.height as f64)
});
const ROTATE: Levelled = Levelled::signed("rotate_nearest", affine::rotate_nearest, |level, _| int(level, 30.0));
const INVERT: Levelled = Levelled::plain("invert", table::invert, none);
const POSTERIZE: Levelled = Levelled::plain("posterize", table::posterize, |level, _| 8.0 - int(level, 4.0));

/// An operation, its probability in tenths, and its magnitude.
pub type Choice = (Levelled, u32, u32);

/// The 25 sub-policies, each a pair of choices.
pub const CIFAR10: [[Choice; 2]; 25] = [
    [(INVERT, 1, 7), (CONTRAST, 2, 6)],
    [(ROTATE, 7, 2), (TRANSLATE_X, 3, 9)],
    [(SHARPNESS, 8, 1), (SHARPNESS, 9, 3)],
    [(SHEAR_Y, 5, 8), (TRANSLATE_Y, 7, 9)],
    [(AUTOCONTRAST, 5, 8), (EQUALIZE, 9, 2)],
    [(SHEAR_Y, 2, 7), (POSTERIZE, 3, 7)],
    [(COLOR, 4, 3), (BRIGHTNESS, 6, 7)],
    [(SHARPNESS, 3, 9), (BRIGHTNESS, 7, 9)],
    [(EQUALIZE, 6, 5), (EQUALIZE, 5, 1)],
    [(CONTRAST, 6, 7), (SHARPNESS, 6, 5)],
    [(COLOR, 7, 7), (TRANSLATE_X, 5, 8)],
    [(EQUALIZE, 3, 7), (AUTOCONTRAST, 4, 8)],
    [(TRANSLATE_Y, 4, 3), (SHARPNESS, 2, 6)],
    [(BRIGHTNESS, 9, 6), (COLOR, 2, 8)],
    [(SOLARIZE, 5, 2), (INVERT, 0, 3)],
    [(EQUALIZE, 2, 0), (AUTOCONTRAST, 6, 0)],
    [(EQUALIZE, 2, 8), (EQUALIZE, 6, 4)],
    [(COLOR, 9, 9), (EQUALIZE, 6, 6)],
    [(AUTOCONTRAST, 8, 4), (SOLARIZE, 2, 8)],
    [(BRIGHTNESS, 1, 3), (COLOR, 7, 0)],
    [(SOLARIZE, 4, 5), (AUTOCONTRAST, 9, 3)],
    [(TRANSLATE_Y, 9, 9), (TRANSLATE_Y, 7, 9)],
    [(AUTOCONTRAST, 9, 2), (SOLARIZE, 8, 3)],
    [(EQUALIZE, 8, 8), (INVERT, 1, 3)],
    [(TRANSLATE_Y, 7, 9), (AUTOCONTRAST, 9, 1)],
];

/// Draws a sub-policy, which of its two operations are applied, and their signs; `calls` is replaced by the applied ones.
pub fn draw(dims: Dims, rng: &mut ChaCha8Rng, calls: &mut Vec<OperationCall>) {
    calls.clear();
    for (choice, tenths, magnitude) in &CIFAR10[rng.random_range(0..CIFAR10.len())] {
        let applied = rng.random_range(0..10) < *tenths;
        let call = choice.call(f64::from(*magnitude), dims, rng);
        calls.extend(applied.then_some(call));
    }
}

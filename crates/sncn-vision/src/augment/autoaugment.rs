//! AutoAugment's policies (Cubuk, Zoph, Mané, Vasudevan, Le 2019, arXiv:1805.09501, appendix): one of 25 pairs of operations, each of
//! which is applied with its own probability at its own magnitude. Affine operations sample the nearest pixel and fill with black.
//!
//! *CIFAR-10*: a magnitude M in 0..=9 is M tenths of the operation's range, as in the authors' code. Ranges: shear 0.3; translation 10
//! pixels of 32 (the authors' CIFAR code; the paper's table gives 150 for ImageNet); rotation 30°; solarize 256 down to 0;
//! posterize 8 bits down to 4 (the paper's range; the code keeps 4 bits down to 0); color, contrast, brightness and
//! sharpness 0.1 to 1.9. Shear, translation and rotation are negative half of the time.
//!
//! *ImageNet*: as `AutoAugmentPolicy.IMAGENET` of torchvision, in which a magnitude M is M ninths of the range: shear 0.3; rotation 30°;
//! solarize 255 down to 0; posterize 8 bits down to 4, rounded to even halves; color, contrast and sharpness 1 ± 0.9. Shear, rotation and
//! the three enhancements have either sign. None of its operations depends on the size of the image.
//!
//! *Random*: the comparison called Random AutoAugment, without the operations that are among the corruptions measured (Hendrycks et al.
//! 2020, arXiv:1912.02781, where no more is said of it): every image gets a pair of its own.

use super::level::{self, AUTOCONTRAST, BRIGHTNESS, COLOR, CONTRAST, EQUALIZE, Levelled, SHARPNESS, SOLARIZE, int, none};
use super::operation::OperationCall;
use super::{affine, cutout, enhance, table};
use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Translation range as a fraction of the side.
const TRANSLATION: f64 = 10.0 / 32.0;

const SHEAR_X: Levelled = Levelled::signed("shear_x_nearest", affine::shear_x_nearest, |level, _| level::fraction(level, 0.3));
const SHEAR_Y: Levelled = level::SHEAR_Y_NEAREST;
const TRANSLATE_X: Levelled = Levelled::signed("translate_x_nearest", affine::translate_x_nearest, |level, dims| {
    int(level, TRANSLATION * dims.width as f64)
});
const TRANSLATE_Y: Levelled = Levelled::signed("translate_y_nearest", affine::translate_y_nearest, |level, dims| {
    int(level, TRANSLATION * dims.height as f64)
});
const ROTATE: Levelled = level::ROTATE_NEAREST;
const INVERT: Levelled = Levelled::plain("invert", table::invert, none);
const POSTERIZE: Levelled = Levelled::plain("posterize", table::posterize, |level, _| 8.0 - int(level, 4.0));

/// An operation, its probability in tenths, and its magnitude.
pub(crate) type Choice = (Levelled, u32, u32);

/// The 25 sub-policies for CIFAR-10, each a pair of choices.
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

/// M ninths of `max`.
fn ninths(level: f64, max: f64) -> f64 {
    level * max / 9.0
}

fn amount(level: f64, _: Dims) -> f64 {
    ninths(level, 0.9)
}

const SHEAR_X_9: Levelled = Levelled::signed("shear_x_nearest", affine::shear_x_nearest, |level, _| ninths(level, 0.3));
const ROTATE_9: Levelled = Levelled::signed("rotate_nearest", affine::rotate_nearest, |level, _| ninths(level, 30.0));
const POSTERIZE_9: Levelled =
    Levelled::plain("posterize", table::posterize, |level, _| 8.0 - ninths(level, 4.0).round_ties_even());
// bytes below 255·(1 − M/9) stay, so those below the next whole number
const SOLARIZE_9: Levelled = Levelled::plain("solarize", table::solarize, |level, _| (255.0 - ninths(level, 255.0)).ceil());
const COLOR_9: Levelled = Levelled::around_one("color", enhance::color, amount);
const CONTRAST_9: Levelled = Levelled::around_one("contrast", enhance::contrast, amount);
const SHARPNESS_9: Levelled = Levelled::around_one("sharpness", enhance::sharpness, amount);

/// The 25 sub-policies for ImageNet, each a pair of choices.
pub const IMAGENET: [[Choice; 2]; 25] = [
    [(POSTERIZE_9, 4, 8), (ROTATE_9, 6, 9)],
    [(SOLARIZE_9, 6, 5), (AUTOCONTRAST, 6, 0)],
    [(EQUALIZE, 8, 0), (EQUALIZE, 6, 0)],
    [(POSTERIZE_9, 6, 7), (POSTERIZE_9, 6, 6)],
    [(EQUALIZE, 4, 0), (SOLARIZE_9, 2, 4)],
    [(EQUALIZE, 4, 0), (ROTATE_9, 8, 8)],
    [(SOLARIZE_9, 6, 3), (EQUALIZE, 6, 0)],
    [(POSTERIZE_9, 8, 5), (EQUALIZE, 10, 0)],
    [(ROTATE_9, 2, 3), (SOLARIZE_9, 6, 8)],
    [(EQUALIZE, 6, 0), (POSTERIZE_9, 4, 6)],
    [(ROTATE_9, 8, 8), (COLOR_9, 4, 0)],
    [(ROTATE_9, 4, 9), (EQUALIZE, 6, 0)],
    [(EQUALIZE, 0, 0), (EQUALIZE, 8, 0)],
    [(INVERT, 6, 0), (EQUALIZE, 10, 0)],
    [(COLOR_9, 6, 4), (CONTRAST_9, 10, 8)],
    [(ROTATE_9, 8, 8), (COLOR_9, 10, 2)],
    [(COLOR_9, 8, 8), (SOLARIZE_9, 8, 7)],
    [(SHARPNESS_9, 4, 7), (INVERT, 6, 0)],
    [(SHEAR_X_9, 6, 5), (EQUALIZE, 10, 0)],
    [(COLOR_9, 4, 0), (EQUALIZE, 6, 0)],
    [(EQUALIZE, 4, 0), (SOLARIZE_9, 2, 4)],
    [(SOLARIZE_9, 6, 5), (AUTOCONTRAST, 6, 0)],
    [(INVERT, 6, 0), (EQUALIZE, 10, 0)],
    [(COLOR_9, 6, 4), (CONTRAST_9, 10, 8)],
    [(EQUALIZE, 8, 0), (EQUALIZE, 6, 0)],
];

/// Which policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// [`CIFAR10`].
    #[default]
    Cifar10,
    /// [`IMAGENET`].
    Imagenet,
    /// Two of [`UNSEEN`] for each image, each applied half of the time at a magnitude of its own: all three are drawn anew.
    Random,
}

/// The operations of [`CIFAR10`] that are none of the corruptions robustness is measured with.
pub const UNSEEN: [Levelled; 9] =
    [SHEAR_X, SHEAR_Y, TRANSLATE_X, TRANSLATE_Y, ROTATE, AUTOCONTRAST, EQUALIZE, POSTERIZE, SOLARIZE];

impl Policy {
    /// Its sub-policies; a random one has none.
    pub const fn choices(self) -> &'static [[Choice; 2]] {
        match self {
            Self::Cifar10 => &CIFAR10,
            Self::Imagenet => &IMAGENET,
            Self::Random => &[],
        }
    }

    /// Side of the Cutout that was published with it: 16 pixels for CIFAR-10, none for the others.
    pub const fn cutout(self) -> usize {
        match self {
            Self::Cifar10 => cutout::SIZE,
            Self::Imagenet | Self::Random => 0,
        }
    }

    /// Draws a sub-policy, which of its two operations are applied, and their signs; `calls` is replaced by the applied ones.
    pub fn draw(self, dims: Dims, rng: &mut ChaCha8Rng, calls: &mut Vec<OperationCall>) {
        calls.clear();
        let choices = self.choices();
        if choices.is_empty() {
            for _ in 0..2 {
                let choice = &UNSEEN[rng.random_range(0..UNSEEN.len())];
                let (applied, magnitude) = (rng.random_bool(0.5), rng.random_range(0..10));
                let call = choice.call(f64::from(magnitude), dims, rng);
                calls.extend(applied.then_some(call));
            }
            return;
        }
        for (choice, tenths, magnitude) in &choices[rng.random_range(0..choices.len())] {
            let applied = rng.random_range(0..10) < *tenths;
            let call = choice.call(f64::from(*magnitude), dims, rng);
            calls.extend(applied.then_some(call));
        }
    }
}

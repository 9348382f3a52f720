//! Levels: the strength of an operation, 0 to 10, converted to the operation's parameter.
//!
//! Level l is l tenths of the operation's range. AugMix draws levels; AutoAugment's policy lists them.

use super::operation::{Operation, OperationCall};
use super::{affine, enhance, table};
use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The level that stands for the whole range.
pub(crate) const MAX_LEVEL: f64 = 10.0;

/// An operation whose parameter is computed from a level.
pub struct Levelled {
    /// Name in [`OPERATIONS`](super::operation::OPERATIONS).
    pub name: &'static str,
    /// The operation.
    pub operation: Operation,
    /// The parameter for a level and an image size.
    pub parameter: fn(f64, Dims) -> f64,
    /// Whether what `parameter` gives is negated half of the time.
    pub signed: bool,
    /// What is added to it: 1 for enhancements that strengthen or weaken alike, otherwise 0.
    pub centre: f64,
}

impl Levelled {
    /// An operation whose parameter has no sign.
    pub(crate) const fn plain(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: false, centre: 0.0 }
    }

    /// An operation whose parameter is negated half of the time.
    pub(crate) const fn signed(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: true, centre: 0.0 }
    }

    /// An enhancement whose factor is 1 plus or minus `amount`, each half of the time.
    pub(crate) const fn around_one(name: &'static str, operation: Operation, amount: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter: amount, signed: true, centre: 1.0 }
    }

    /// The operation with its parameter at `level`; draws the sign if the operation is signed.
    pub(crate) fn call(&self, level: f64, dims: Dims, rng: &mut ChaCha8Rng) -> OperationCall {
        let sign = if self.signed && rng.random_bool(0.5) { -1.0 } else { 1.0 };
        OperationCall { operation: self.operation, parameter: self.centre + sign * (self.parameter)(level, dims) }
    }
}

/// `level` tenths of `max`.
pub(crate) fn fraction(level: f64, max: f64) -> f64 {
    level * max / MAX_LEVEL
}

/// `level` tenths of `max`, truncated.
pub(crate) fn int(level: f64, max: f64) -> f64 {
    fraction(level, max).trunc()
}

/// The factor of the four enhancements, 0.1 to 1.9.
pub(crate) fn factor(level: f64, _: Dims) -> f64 {
    fraction(level, 1.8) + 0.1
}

/// The parameter of operations that ignore it.
pub(crate) fn none(_: f64, _: Dims) -> f64 {
    0.0
}

/// See [`table::autocontrast`].
pub(crate) const AUTOCONTRAST: Levelled = Levelled::plain("autocontrast", table::autocontrast, none);
/// See [`table::equalize`].
pub(crate) const EQUALIZE: Levelled = Levelled::plain("equalize", table::equalize, none);
/// See [`affine::rotate_nearest`]; up to 30 degrees.
pub(crate) const ROTATE_NEAREST: Levelled =
    Levelled::signed("rotate_nearest", affine::rotate_nearest, |level, _| int(level, 30.0));
/// See [`affine::shear_y_nearest`].
pub(crate) const SHEAR_Y_NEAREST: Levelled =
    Levelled::signed("shear_y_nearest", affine::shear_y_nearest, |level, _| fraction(level, 0.3));
/// See [`table::solarize`]; the threshold falls from 256 to 0.
pub(crate) const SOLARIZE: Levelled = Levelled::plain("solarize", table::solarize, |level, _| 256.0 - int(level, 256.0));
/// See [`enhance::color`].
pub(crate) const COLOR: Levelled = Levelled::plain("color", enhance::color, factor);
/// See [`enhance::contrast`].
pub(crate) const CONTRAST: Levelled = Levelled::plain("contrast", enhance::contrast, factor);
/// See [`enhance::brightness`].
pub(crate) const BRIGHTNESS: Levelled = Levelled::plain("brightness", enhance::brightness, factor);
/// See [`enhance::sharpness`].
pub(crate) const SHARPNESS: Levelled = Levelled::plain("sharpness", enhance::sharpness, factor);

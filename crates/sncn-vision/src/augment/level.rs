//! Levels: the strength of an operation, 0 to 10, converted to the operation's parameter.
//!
//! Level l is l tenths of the operation's range. AugMix draws levels; AutoAugment's policy lists them.

use super::operation::{Operation, OperationCall};
use super::{enhance, table};
use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The level that stands for the whole range.
pub const MAX_LEVEL: f64 = 10.0;

/// An operation whose parameter is computed from a level.
pub struct Levelled {
    /// Name in [`OPERATIONS`](super::operation::OPERATIONS).
    pub name: &'static str,
    /// The operation.
    pub operation: Operation,
    /// The parameter for a level and an image size.
    pub parameter: fn(f64, Dims) -> f64,
    /// Whether the parameter is negated half of the time.
    pub signed: bool,
}

impl Levelled {
    /// An operation whose parameter has no sign.
    pub const fn plain(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: false }
    }

    /// An operation whose parameter is negated half of the time.
    pub const fn signed(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: true }
    }

    /// The operation with its parameter at `level`; draws the sign if the operation is signed.
    pub fn call(&self, level: f64, dims: Dims, rng: &mut ChaCha8Rng) -> OperationCall {
        let sign = if self.signed && rng.random_bool(0.5) { -1.0 } else { 1.0 };
        OperationCall { operation: self.operation, parameter: sign * (self.parameter)(level, dims) }
    }
}

/// `level` tenths of `max`.
pub fn fraction(level: f64, max: f64) -> f64 {
    level * max / MAX_LEVEL
}

/// `level` tenths of `max`, truncated.
pub fn int(level: f64, max: f64) -> f64 {
    fraction(level, max).trunc()
}

/// The factor of the four enhancements, 0.1 to 1.9.
pub fn factor(level: f64, _: Dims) -> f64 {
    fraction(level, 1.8) + 0.1
}

/// The parameter of operations that ignore it.
pub fn none(_: f64, _: Dims) -> f64 {
    0.0
}

/// See [`table::autocontrast`].
pub const AUTOCONTRAST: Levelled = Levelled::plain("autocontrast", table::autocontrast, none);
/// See [`table::equalize`].
pub const EQUALIZE: Levelled = Levelled::plain("equalize", table::equalize, none);
/// See [`table::solarize`]; the threshold falls from 256 to 0.
pub const SOLARIZE: Levelled = Levelled::plain("solarize", table::solarize, |level, _| 256.0 - int(level, 256.0));
/// See [`enhance::color`].
pub const COLOR: Levelled = Levelled::plain("color", enhance::color, factor);
/// See [`enhance::contrast`].
pub const CONTRAST: Levelled = Levelled::plain("contrast", enhance::contrast, factor);
/// See [`enhance::brightness`].
pub const BRIGHTNESS: Levelled = Levelled::plain("brightness", enhance::brightness, factor);
/// See [`enhance::sharpness`].
pub const SHARPNESS: Levelled = Levelled::plain("sharpness", enhance::sharpness, factor);

//! Levels: how the strength of an operation, 0 to 10, becomes the operation's number.
//!
//! A level is so many tenths of the operation's range; AugMix draws it, AutoAugment's policy names it.

use super::operation::{Operation, Step};
use super::{enhance, table};
use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Levels are shares of this.
pub const MAX_LEVEL: f64 = 10.0;

/// An operation whose number follows from a level.
pub struct Levelled {
    /// Name in [`OPERATIONS`](super::operation::OPERATIONS).
    pub name: &'static str,
    /// What is done.
    pub operation: Operation,
    /// The number, from the level and the size of the image.
    pub parameter: fn(f64, Dims) -> f64,
    /// Whether the number is negative half of the time.
    pub signed: bool,
}

impl Levelled {
    /// An operation without a direction.
    pub const fn plain(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: false }
    }

    /// An operation that goes either way.
    pub const fn signed(name: &'static str, operation: Operation, parameter: fn(f64, Dims) -> f64) -> Self {
        Self { name, operation, parameter, signed: true }
    }

    /// The step of that level; its sign is drawn where there is one.
    pub fn step(&self, level: f64, dims: Dims, rng: &mut ChaCha8Rng) -> Step {
        let sign = if self.signed && rng.random_bool(0.5) { -1.0 } else { 1.0 };
        Step { operation: self.operation, parameter: sign * (self.parameter)(level, dims) }
    }
}

/// The level's share of `max`.
pub fn share(level: f64, max: f64) -> f64 {
    level * max / MAX_LEVEL
}

/// The level's share of `max`, truncated.
pub fn int(level: f64, max: f64) -> f64 {
    share(level, max).trunc()
}

/// The factor of the four enhancements, 0.1 to 1.9.
pub fn factor(level: f64, _: Dims) -> f64 {
    share(level, 1.8) + 0.1
}

/// No number.
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

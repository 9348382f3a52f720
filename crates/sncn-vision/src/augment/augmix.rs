//! AugMix (Hendrycks, Mu, Cubuk, Zoph, Gilmer, Lakshminarayanan 2020, arXiv:1912.02781): a random mixture of an image and
//! the results of chains of operations on it.
//!
//! out = (1 − m)·norm(X) + m·Σᵢ wᵢ·norm(chainᵢ(X)), w ~ Dirichlet(1, …, 1), m ~ Beta(1, 1), norm(v) = (v/255 − ½)/½.
//! The operations of a chain act on bytes, one after another. [`AugMix::draw`] makes all random draws and [`mix`] applies
//! them, so tests can give [`mix`] chosen values.

use super::level::{AUTOCONTRAST, BRIGHTNESS, COLOR, CONTRAST, EQUALIZE, Levelled, SHARPNESS, SOLARIZE, fraction, int};
use super::operation::{OperationCall, chain};
use super::{affine, table};
use crate::corruption::Dims;
use anyhow::{Result, ensure};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;
use serde::{Deserialize, Serialize};

/// The smallest level that is drawn.
const MIN_LEVEL: f64 = 0.1;

/// The largest depth of a chain that is drawn.
const MAX_DEPTH: usize = 3;

/// The settings of AugMix; the defaults are those of its CIFAR experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugMix {
    /// The upper end of the drawn levels, 1 to 10.
    pub severity: u32,
    /// Number of chains, at least 1.
    pub width: usize,
    /// Operations in every chain, at least 1; if absent, each chain draws its depth from 1, 2, 3.
    pub depth: Option<usize>,
    /// Whether color, contrast, brightness and sharpness are used too; they overlap with the corruptions of the benchmark.
    pub all: bool,
}

impl Default for AugMix {
    fn default() -> Self {
        Self { severity: 3, width: 3, depth: None, all: false }
    }
}

/// How many of [`AUGMIX`] the default list has.
pub const DEFAULT_OPERATIONS: usize = 9;

/// The operations of AugMix: the 9 of the default list, then the 4 that are used only with `all`.
pub const AUGMIX: &[Levelled] = &[
    AUTOCONTRAST,
    EQUALIZE,
    Levelled::plain("posterize", table::posterize, |level, _| 4.0 - int(level, 4.0)),
    Levelled::signed("rotate", affine::rotate, |level, _| int(level, 30.0)),
    SOLARIZE,
    Levelled::signed("shear_x", affine::shear_x, |level, _| fraction(level, 0.3)),
    Levelled::signed("shear_y", affine::shear_y, |level, _| fraction(level, 0.3)),
    Levelled::signed("translate_x", affine::translate_x, |level, dims| int(level, dims.width as f64 / 3.0)),
    Levelled::signed("translate_y", affine::translate_y, |level, dims| int(level, dims.height as f64 / 3.0)),
    COLOR,
    CONTRAST,
    BRIGHTNESS,
    SHARPNESS,
];

/// All random values of one mixture.
#[derive(Clone, Debug, Default)]
pub struct AugMixDraw {
    /// m, the weight of the chains in the result, 0 to 1.
    pub weight: f64,
    /// Weight and number of operations of every chain.
    pub chains: Vec<(f64, usize)>,
    /// The operations of all chains, one after another.
    pub calls: Vec<OperationCall>,
}

impl AugMix {
    /// Checks the ranges of the settings; the error names the setting and the accepted values.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { severity, width, depth, .. } = *self;
        ensure!((1..=10).contains(&severity), "augmix: severity is {severity}; use 1 to 10");
        ensure!(width >= 1, "augmix: width is 0; use at least 1 chain");
        ensure!(depth != Some(0), "augmix: depth is 0; use at least 1, or leave it out to draw it from 1, 2, 3");
        Ok(())
    }

    /// Draws weights, operations and levels for an image of size `dims` into `drawn`, whose old values are replaced.
    ///
    /// A level is uniform over [0.1, severity); a second draw gives the sign of operations that have one.
    pub fn draw(&self, dims: Dims, rng: &mut ChaCha8Rng, drawn: &mut AugMixDraw) {
        let operations = if self.all { AUGMIX } else { &AUGMIX[..DEFAULT_OPERATIONS] };
        drawn.chains.clear();
        drawn.calls.clear();
        drawn.weight = rng.random();
        let mut total = 0.0;
        for _ in 0..self.width {
            // exponential variables over their sum have the distribution Dirichlet(1, …, 1)
            let weight: f64 = rng.sample(Exp1);
            total += weight;
            let depth = self.depth.unwrap_or_else(|| rng.random_range(1..=MAX_DEPTH));
            drawn.chains.push((weight, depth));
            for _ in 0..depth {
                let choice = &operations[rng.random_range(0..operations.len())];
                let level = rng.random_range(MIN_LEVEL..f64::from(self.severity));
                drawn.calls.push(choice.call(level, dims, rng));
            }
        }
        drawn.chains.iter_mut().for_each(|chain| chain.0 /= total);
    }
}

/// Writes the mixture of `image` and its chains into `out`, which has as many values as the image has bytes.
pub fn mix(drawn: &AugMixDraw, image: &[u8], dims: Dims, buffers: &mut [Vec<u8>; 2], out: &mut [f32]) {
    let [result, spare] = buffers;
    result.resize(image.len(), 0);
    spare.resize(image.len(), 0);
    let weight = (1.0 - drawn.weight) as f32;
    out.iter_mut().zip(image).for_each(|(out, &v)| *out = weight * f32::from(v));
    let mut rest = drawn.calls.as_slice();
    for &(weight, length) in &drawn.chains {
        let (calls, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        chain(calls, image, dims, spare, result);
        let weight = (drawn.weight * weight) as f32;
        out.iter_mut().zip(&*result).for_each(|(out, &v)| *out += weight * f32::from(v));
    }
}

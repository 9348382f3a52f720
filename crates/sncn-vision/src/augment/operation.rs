//! The registry of the byte operations that AugMix, AutoAugment and RandAugment draw from.
//!
//! Every operation takes an RGB image (height × width × 3 bytes), one number and the output; the number's meaning is the
//! operation's own (bits, degrees, threshold, factor, pixels, addition) and those without one ignore it. The plain names
//! sample affine maps bilinearly, as AugMix does (Hendrycks et al. 2020, arXiv:1912.02781); `…_nearest` take the nearest
//! pixel, as AutoAugment (Cubuk et al. 2019, arXiv:1805.09501) and RandAugment (arXiv:1909.13719) do.

use super::{affine, enhance, table};
use crate::corruption::Dims;
use anyhow::{Result, bail};

/// Writes the operation's result for an image, its size and a number into the output, as long as the image.
pub type Operation = fn(&[u8], Dims, f64, &mut [u8]);

/// Every operation by name.
pub const OPERATIONS: &[(&str, Operation)] = &[
    ("identity", table::identity),
    ("autocontrast", table::autocontrast),
    ("equalize", table::equalize),
    ("posterize", table::posterize),
    ("solarize", table::solarize),
    ("solarize_add", table::solarize_add),
    ("invert", table::invert),
    ("rotate", affine::rotate),
    ("shear_x", affine::shear_x),
    ("shear_y", affine::shear_y),
    ("translate_x", affine::translate_x),
    ("translate_y", affine::translate_y),
    ("rotate_nearest", affine::rotate_nearest),
    ("shear_x_nearest", affine::shear_x_nearest),
    ("shear_y_nearest", affine::shear_y_nearest),
    ("translate_x_nearest", affine::translate_x_nearest),
    ("translate_y_nearest", affine::translate_y_nearest),
    ("color", enhance::color),
    ("contrast", enhance::contrast),
    ("brightness", enhance::brightness),
    ("sharpness", enhance::sharpness),
];

/// The operation of that name.
///
/// # Errors
/// For an unknown name; the error lists the known ones.
pub fn operation(name: &str) -> Result<Operation> {
    let Some(&(_, operation)) = OPERATIONS.iter().find(|entry| entry.0 == name) else {
        let known: Vec<&str> = OPERATIONS.iter().map(|entry| entry.0).collect();
        bail!("no image operation is called {name:?}; known: {}", known.join(", "));
    };
    Ok(operation)
}

/// One operation with its number.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What is done.
    pub operation: Operation,
    /// Its number.
    pub parameter: f64,
}

/// Applies the steps one after another, from `image` by way of `spare` to `out`; both are as long as the image.
///
/// No step leaves the image as it is.
pub fn chain(steps: &[Step], image: &[u8], dims: Dims, spare: &mut Vec<u8>, out: &mut Vec<u8>) {
    let Some((first, rest)) = steps.split_first() else {
        return out.copy_from_slice(image);
    };
    (first.operation)(image, dims, first.parameter, out);
    for step in rest {
        (step.operation)(out, dims, step.parameter, spare);
        std::mem::swap(spare, out);
    }
}

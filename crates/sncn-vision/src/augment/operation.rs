//! The registry of the byte operations that AugMix, AutoAugment and RandAugment draw from.
//!
//! Every operation takes an RGB image (height × width × 3 bytes), one parameter and the output. The unit of the parameter
//! depends on the operation (bits, degrees, threshold, factor, pixels, value to add); some ignore it. Affine operations
//! sample bilinearly, as AugMix does (Hendrycks et al. 2020, arXiv:1912.02781); those named `…_nearest` take the nearest
//! pixel, as AutoAugment (Cubuk et al. 2019, arXiv:1805.09501) and RandAugment (arXiv:1909.13719) do.

use super::{affine, enhance, table};
use crate::corruption::Dims;
use anyhow::{Result, bail};

/// Writes the operation's result for an image, its size and a parameter into the output, which is as long as the image.
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

/// Looks up an operation by name; the error for an unknown name lists the known ones.
pub fn operation(name: &str) -> Result<Operation> {
    let Some(&(_, operation)) = OPERATIONS.iter().find(|entry| entry.0 == name) else {
        let known: Vec<&str> = OPERATIONS.iter().map(|entry| entry.0).collect();
        bail!("no image operation is called {name:?}; known: {}", known.join(", "));
    };
    Ok(operation)
}

/// One operation with its parameter.
#[derive(Clone, Copy, Debug)]
pub struct OperationCall {
    /// The operation.
    pub operation: Operation,
    /// Its parameter.
    pub parameter: f64,
}

/// Applies the operations one after another and writes the result into `out`; `spare` is a work buffer, and both are as long
/// as the image. Without operations the result is the image.
pub fn chain(calls: &[OperationCall], image: &[u8], dims: Dims, spare: &mut Vec<u8>, out: &mut Vec<u8>) {
    let Some((first, rest)) = calls.split_first() else {
        return out.copy_from_slice(image);
    };
    (first.operation)(image, dims, first.parameter, out);
    for call in rest {
        (call.operation)(out, dims, call.parameter, spare);
        std::mem::swap(spare, out);
    }
}

//! Channels-last 2-D convolution (cross-correlation): `y[n,i,j,o] = b[o] + Σ x[n, i·s−p+k·d, j·s−p+l·d, c]·w[o,c,k,l]`.
//!
//! f32 runs over the kernels of [`crate::fused`], every other element over `gemm`.

mod naive;
mod patches;
mod shape;

pub use naive::{conv2d_forward_naive, conv2d_input_gradient_naive, conv2d_weight_gradient_naive};
pub use patches::{conv2d_forward_generic, conv2d_input_gradient_generic, conv2d_weight_gradient_generic};
pub use shape::ConvShape;

use crate::fused::{Direction, PackedWeight, conv_forward, conv_input_gradient, conv_weight_gradient, copy_rows, keep};
use crate::real::Real;
use std::ops::Range;

/// `out` (n, ho, wo, c_out) = x ∗ weight + bias.
pub fn conv2d_forward<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &ConvShape, out: &mut [T]) {
    let (Some(x), Some(weight), Some(out)) = (T::as_f32(x), T::as_f32(weight), T::as_f32_mut(out)) else {
        return conv2d_forward_generic(x, weight, bias, s, out);
    };
    let (packed, stage) = (PackedWeight::new(s, Direction::Forward, weight), copy_rows(x, s.h, s.w * s.c_in));
    match bias.and_then(T::as_f32) {
        None => conv_forward(s, &packed, &stage, &keep, out),
        Some(bias) => {
            let add = |_: usize, _: Range<usize>, y: &mut [f32]| {
                y.chunks_exact_mut(bias.len()).for_each(|y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b));
            };
            conv_forward(s, &packed, &stage, &add, out);
        }
    }
}

/// `dx` (n, h, w, c_in) from `gy` (n, ho, wo, c_out).
pub fn conv2d_input_gradient<T: Real>(gy: &[T], weight: &[T], s: &ConvShape, dx: &mut [T]) {
    let (Some(gy), Some(weight), Some(dx)) = (T::as_f32(gy), T::as_f32(weight), T::as_f32_mut(dx)) else {
        return conv2d_input_gradient_generic(gy, weight, s, dx);
    };
    let ((ho, wo), packed) = (s.output(), PackedWeight::new(s, Direction::InputGradient, weight));
    conv_input_gradient(s, &packed, &copy_rows(gy, ho, wo * s.c_out), &keep, dx);
}

/// `dw` (c_out, c_in / groups, kh, kw) from `x` and `gy`.
pub fn conv2d_weight_gradient<T: Real>(x: &[T], gy: &[T], s: &ConvShape, dw: &mut [T]) {
    let (Some(x), Some(gy), Some(dw)) = (T::as_f32(x), T::as_f32(gy), T::as_f32_mut(dw)) else {
        return conv2d_weight_gradient_generic(x, gy, s, dw);
    };
    let (ho, wo) = s.output();
    conv_weight_gradient(s, &copy_rows(x, s.h, s.w * s.c_in), &copy_rows(gy, ho, wo * s.c_out), dw);
}

//! Channels-last 2-D convolution (cross-correlation): `y[n,i,j,o] = b[o] + Σ x[n, i·s−p+k·d, j·s−p+l·d, c]·w[o,c,k,l]`.
//!
//! f32 runs on the kernels of [`crate::fused`], f64 on `gemm`; [`Form::Naive`] is plain loops for both.

pub(crate) mod naive;
mod patches;
mod shape;

pub use shape::ConvShape;

use crate::fused::{
    Algorithm, Direction, PackedWeight, conv_forward, conv_input_gradient, conv_weight_gradient_by, copy_rows, no_finish,
};
use crate::real::Real;
use crate::simd::Form;
use std::ops::Range;

/// Convolves x (n, h, w, c_in) with the weight and adds the bias (c_out): (n, ho, wo, c_out).
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn conv2d_forward<T: Real>(form: Form, x: &[T], weight: &[T], bias: Option<&[T]>, s: &ConvShape, out: &mut [T]) {
    if form == Form::Naive {
        return naive::forward(x, weight, bias, s, out);
    }
    let (Some(x), Some(weight), Some(out)) = (T::as_f32(x), T::as_f32(weight), T::as_f32_mut(out)) else {
        return patches::forward(x, weight, bias, s, out);
    };
    let direction = Direction::Forward;
    let packed = PackedWeight::by(form, Algorithm::choose(s, direction), s, direction, weight);
    let stage = copy_rows(x, s.h, s.w * s.c_in);
    match bias.and_then(T::as_f32) {
        None => conv_forward(s, &packed, &stage, &no_finish, out),
        Some(bias) => {
            let add = |_: usize, _: Range<usize>, y: &mut [f32]| {
                y.chunks_exact_mut(bias.len()).for_each(|y| y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b));
            };
            conv_forward(s, &packed, &stage, &add, out);
        }
    }
}

/// Computes the gradient of x, (n, h, w, c_in), from gy (n, ho, wo, c_out).
///
/// # Panics
/// As [`conv2d_forward`].
pub fn conv2d_input_gradient<T: Real>(form: Form, gy: &[T], weight: &[T], s: &ConvShape, dx: &mut [T]) {
    if form == Form::Naive {
        return naive::input_gradient(gy, weight, s, dx);
    }
    let (Some(gy), Some(weight), Some(dx)) = (T::as_f32(gy), T::as_f32(weight), T::as_f32_mut(dx)) else {
        return patches::input_gradient(gy, weight, s, dx);
    };
    let ((ho, wo), direction) = (s.output(), Direction::InputGradient);
    let packed = PackedWeight::by(form, Algorithm::choose(s, direction), s, direction, weight);
    conv_input_gradient(s, &packed, &copy_rows(gy, ho, wo * s.c_out), &no_finish, dx);
}

/// Computes the gradient of the weight, (c_out, c_in / groups, kh, kw), from x and gy.
///
/// # Panics
/// As [`conv2d_forward`].
pub fn conv2d_weight_gradient<T: Real>(form: Form, x: &[T], gy: &[T], s: &ConvShape, dw: &mut [T]) {
    if form == Form::Naive {
        return naive::weight_gradient(x, gy, s, dw);
    }
    let (Some(x), Some(gy), Some(dw)) = (T::as_f32(x), T::as_f32(gy), T::as_f32_mut(dw)) else {
        return patches::weight_gradient(x, gy, s, dw);
    };
    let ((ho, wo), algorithm) = (s.output(), Algorithm::choose(s, Direction::Forward));
    let (stage_x, stage_gy) = (copy_rows(x, s.h, s.w * s.c_in), copy_rows(gy, ho, wo * s.c_out));
    conv_weight_gradient_by(form, algorithm, s, &stage_x, &stage_gy, dw);
}

//! Channels-last max, average and global average pooling (floor mode), forward and backward.

mod generic;
mod shape;
mod vectors;

pub use shape::PoolShape;

use crate::real::Real;
use crate::simd::Form;

/// Computes the maxima of windows (padding is −∞; NaN is larger than any number) and, for every output value, the position `y·w + x`
/// of the first maximum of its window.
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form, as do all functions of this module.
pub fn max_pool_forward<T: Real>(form: Form, x: &[T], s: &PoolShape, out: &mut [T], argmax: &mut [u32]) {
    match (form, T::as_f32(x)) {
        (Form::Naive, _) | (_, None) => generic::max_pool_forward(x, s, out, argmax),
        (_, Some(x)) => T::as_f32_mut(out).into_iter().for_each(|out| vectors::max_pool_forward(form, x, s, out, argmax)),
    }
}

/// Computes the gradient dx: the gradient of each output value goes to the position in `argmax`, which [`max_pool_forward`] wrote.
pub fn max_pool_backward<T: Real>(form: Form, gy: &[T], argmax: &[u32], s: &PoolShape, dx: &mut [T]) {
    match (form, T::as_f32(gy)) {
        (Form::Naive, _) | (_, None) => generic::max_pool_backward(gy, argmax, s, dx),
        (_, Some(gy)) => T::as_f32_mut(dx).into_iter().for_each(|dx| vectors::max_pool_backward(form, gy, argmax, s, dx)),
    }
}

/// Computes the means of windows; the padding must be 0.
pub fn avg_pool_forward<T: Real>(form: Form, x: &[T], s: &PoolShape, out: &mut [T]) {
    match (form, T::as_f32(x)) {
        (Form::Naive, _) | (_, None) => generic::avg_pool_forward(x, s, out),
        (_, Some(x)) => T::as_f32_mut(out).into_iter().for_each(|out| vectors::avg_pool_forward(form, x, s, out)),
    }
}

/// Computes the gradient dx of [`avg_pool_forward`].
pub fn avg_pool_backward<T: Real>(form: Form, gy: &[T], s: &PoolShape, dx: &mut [T]) {
    match (form, T::as_f32(gy)) {
        (Form::Naive, _) | (_, None) => generic::avg_pool_backward(gy, s, dx),
        (_, Some(gy)) => T::as_f32_mut(dx).into_iter().for_each(|dx| vectors::avg_pool_backward(form, gy, s, dx)),
    }
}

/// Computes the means of x (n, positions, c) over positions, to out (n, c), with sums in double precision.
pub fn global_avg_forward<T: Real>(form: Form, x: &[T], positions: usize, c: usize, out: &mut [T]) {
    match (form, T::as_f32(x)) {
        (Form::Naive, _) | (_, None) => generic::global_avg_forward(x, positions, c, out),
        (_, Some(x)) => T::as_f32_mut(out).into_iter().for_each(|out| vectors::global_avg_forward(form, x, positions, c, out)),
    }
}

/// Computes the gradient dx of [`global_avg_forward`].
pub fn global_avg_backward<T: Real>(form: Form, gy: &[T], positions: usize, c: usize, dx: &mut [T]) {
    match (form, T::as_f32(gy)) {
        (Form::Naive, _) | (_, None) => generic::global_avg_backward(gy, positions, c, dx),
        (_, Some(gy)) => T::as_f32_mut(dx).into_iter().for_each(|dx| vectors::global_avg_backward(form, gy, positions, c, dx)),
    }
}

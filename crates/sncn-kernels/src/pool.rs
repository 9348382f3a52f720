//! Channels-last max, average and global average pooling (floor mode), forward and backward.
//!
//! f32 runs over vectors of channels ([`vectors`]); the generic loops serve every other element.

mod generic;
mod shape;
pub mod vectors;

pub use generic::{
    avg_pool_backward_generic, avg_pool_forward_generic, global_avg_backward_generic, global_avg_forward_generic,
    max_pool_backward_generic, max_pool_forward_generic,
};
pub use shape::PoolShape;

use crate::real::Real;
use crate::simd::Form;

/// Maxima and, per output element, the position `y·w + x` of the first maximum of its window (padding is −∞; NaN wins).
pub fn max_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T], argmax: &mut [u32]) {
    match (T::as_f32(x), T::as_f32_mut(out)) {
        (Some(x), Some(out)) => vectors::max_pool_forward(Form::current(), x, s, out, argmax),
        _ => max_pool_forward_generic(x, s, out, argmax),
    }
}

/// `dx`: each output's gradient goes to the position in `argmax`, which is what [`max_pool_forward`] wrote.
pub fn max_pool_backward<T: Real>(gy: &[T], argmax: &[u32], s: &PoolShape, dx: &mut [T]) {
    match (T::as_f32(gy), T::as_f32_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::max_pool_backward(Form::current(), gy, argmax, s, dx),
        _ => max_pool_backward_generic(gy, argmax, s, dx),
    }
}

/// Means of the windows (padding 0 only: every window lies inside).
pub fn avg_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T]) {
    match (T::as_f32(x), T::as_f32_mut(out)) {
        (Some(x), Some(out)) => vectors::avg_pool_forward(Form::current(), x, s, out),
        _ => avg_pool_forward_generic(x, s, out),
    }
}

/// Gradient of [`avg_pool_forward`].
pub fn avg_pool_backward<T: Real>(gy: &[T], s: &PoolShape, dx: &mut [T]) {
    match (T::as_f32(gy), T::as_f32_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::avg_pool_backward(Form::current(), gy, s, dx),
        _ => avg_pool_backward_generic(gy, s, dx),
    }
}

/// `out` (n, c) = means of `x` (n, positions, c), accumulated in double precision.
pub fn global_avg_forward<T: Real>(x: &[T], positions: usize, c: usize, out: &mut [T]) {
    match (T::as_f32(x), T::as_f32_mut(out)) {
        (Some(x), Some(out)) => vectors::global_avg_forward(Form::current(), x, positions, c, out),
        _ => global_avg_forward_generic(x, positions, c, out),
    }
}

/// Gradient of [`global_avg_forward`].
pub fn global_avg_backward<T: Real>(gy: &[T], positions: usize, c: usize, dx: &mut [T]) {
    match (T::as_f32(gy), T::as_f32_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::global_avg_backward(Form::current(), gy, positions, c, dx),
        _ => global_avg_backward_generic(gy, positions, c, dx),
    }
}

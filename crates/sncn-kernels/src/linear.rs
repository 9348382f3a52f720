//! The affine map `y = x·Wᵀ + b` over rows, `x` (rows, c_in), `W` (c_out, c_in), and its gradients.
//!
//! Rows are cut in fixed blocks and sums in fixed parts, so results do not depend on the number of threads.

pub use crate::dense::LinearShape;

use crate::dense;
use crate::parts::in_parts;
use crate::real::{Real, Strided, fill_rows, matmul};
use crate::rows;
use crate::simd::Form;
use rayon::prelude::*;

/// Rows per block.
const ROWS: usize = 64;

/// `out` (rows, c_out) = `x·Wᵀ + bias`.
pub fn linear_forward<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &LinearShape, out: &mut [T]) {
    match (T::as_f32(x), T::as_f32(weight), T::as_f32_mut(out)) {
        (Some(x), Some(weight), Some(out)) => dense::linear_forward(Form::current(), x, weight, bias.and_then(T::as_f32), s, out),
        _ => linear_forward_generic(x, weight, bias, s, out),
    }
}

/// `dx` (rows, c_in) = `gy·W`.
pub fn linear_input_gradient<T: Real>(gy: &[T], weight: &[T], s: &LinearShape, dx: &mut [T]) {
    match (T::as_f32(gy), T::as_f32(weight), T::as_f32_mut(dx)) {
        (Some(gy), Some(weight), Some(dx)) => dense::linear_input_gradient(Form::current(), gy, weight, s, dx),
        _ => linear_input_gradient_generic(gy, weight, s, dx),
    }
}

/// `dw` (c_out, c_in) = `gyᵀ·x`.
pub fn linear_weight_gradient<T: Real>(x: &[T], gy: &[T], s: &LinearShape, dw: &mut [T]) {
    match (T::as_f32(x), T::as_f32(gy), T::as_f32_mut(dw)) {
        (Some(x), Some(gy), Some(dw)) => dense::linear_weight_gradient(Form::current(), x, gy, s, dw),
        _ => linear_weight_gradient_generic(x, gy, s, dw),
    }
}

/// [`linear_forward`] over `gemm`, for any element.
pub fn linear_forward_generic<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &LinearShape, out: &mut [T]) {
    if s.c_in == 0 || s.c_out == 0 {
        return;
    }
    out.par_chunks_mut(ROWS * s.c_out).zip(x.par_chunks(ROWS * s.c_in)).for_each(|(out, x)| {
        if let Some(bias) = bias {
            fill_rows(out, bias);
        }
        let a = Strided { data: x, row: s.c_in, column: 1 };
        let b = Strided { data: weight, row: 1, column: s.c_in };
        matmul((out.len() / s.c_out, s.c_out, s.c_in), a, b, out, s.c_out, bias.is_some());
    });
}

/// [`linear_input_gradient`] over `gemm`, for any element.
pub fn linear_input_gradient_generic<T: Real>(gy: &[T], weight: &[T], s: &LinearShape, dx: &mut [T]) {
    if s.c_in == 0 || s.c_out == 0 {
        return;
    }
    dx.par_chunks_mut(ROWS * s.c_in).zip(gy.par_chunks(ROWS * s.c_out)).for_each(|(dx, gy)| {
        let a = Strided { data: gy, row: s.c_out, column: 1 };
        let b = Strided { data: weight, row: s.c_in, column: 1 };
        matmul((dx.len() / s.c_in, s.c_in, s.c_out), a, b, dx, s.c_in, false);
    });
}

/// [`linear_weight_gradient`] over `gemm`, for any element.
pub fn linear_weight_gradient_generic<T: Real>(x: &[T], gy: &[T], s: &LinearShape, dw: &mut [T]) {
    dw.copy_from_slice(&in_parts(s.rows, s.c_out * s.c_in, |range, sum| {
        let a = Strided { data: &gy[range.start * s.c_out..range.end * s.c_out], row: 1, column: s.c_out };
        let b = Strided { data: &x[range.start * s.c_in..range.end * s.c_in], row: s.c_in, column: 1 };
        matmul((s.c_out, s.c_in, range.len()), a, b, sum, s.c_in, false);
    }));
}

/// Sum over the rows of `g` (rows, c), accumulated in double precision in a fixed order.
pub fn column_sums<T: Real>(g: &[T], c: usize, out: &mut [T]) {
    let rows = g.len().checked_div(c).unwrap_or(0);
    let sums = in_parts(rows, c, |range, sum: &mut [f64]| {
        let part = &g[range.start * c..range.end * c];
        match T::as_f32(part) {
            Some(part) => rows::sums(part, sum),
            None => part.chunks_exact(c).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, &v)| *s += v.to_f64())),
        }
    });
    out.iter_mut().zip(sums).for_each(|(o, s)| *o = T::from_f64(s));
}

//! Linear layers, y = x·Wᵀ + b with x (rows, c_in) and W (c_out, c_in), and their gradients. f32 runs on the register tile
//! (`dense.rs`), f64 on `gemm`.
//!
//! Rows are cut into fixed blocks and sums into fixed parts, so results do not depend on the number of threads.

pub use crate::dense::{LinearShape, linear_forward_bf16};

use crate::dense;
use crate::parts::in_parts;
use crate::real::{Real, Strided, fill_rows, matmul};
use crate::rows;
use crate::simd::Form;
use rayon::prelude::*;

/// Rows per block.
const ROWS: usize = 64;

/// Computes x·Wᵀ + bias, (rows, c_out).
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn linear_forward<T: Real>(form: Form, x: &[T], weight: &[T], bias: Option<&[T]>, s: &LinearShape, out: &mut [T]) {
    if let (Some(x), Some(weight)) = (T::as_f32(x), T::as_f32(weight)) {
        let bias = bias.and_then(T::as_f32);
        return T::as_f32_mut(out).into_iter().for_each(|out| dense::linear_forward(form, x, weight, bias, s, out));
    }
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

/// Computes the gradient of x, gy·W, (rows, c_in).
///
/// # Panics
/// As [`linear_forward`].
pub fn linear_input_gradient<T: Real>(form: Form, gy: &[T], weight: &[T], s: &LinearShape, dx: &mut [T]) {
    if let (Some(gy), Some(weight)) = (T::as_f32(gy), T::as_f32(weight)) {
        return T::as_f32_mut(dx).into_iter().for_each(|dx| dense::linear_input_gradient(form, gy, weight, s, dx));
    }
    if s.c_in == 0 || s.c_out == 0 {
        return;
    }
    dx.par_chunks_mut(ROWS * s.c_in).zip(gy.par_chunks(ROWS * s.c_out)).for_each(|(dx, gy)| {
        let a = Strided { data: gy, row: s.c_out, column: 1 };
        let b = Strided { data: weight, row: s.c_in, column: 1 };
        matmul((dx.len() / s.c_in, s.c_in, s.c_out), a, b, dx, s.c_in, false);
    });
}

/// Computes the gradient of W, gyᵀ·x, (c_out, c_in).
///
/// # Panics
/// As [`linear_forward`].
pub fn linear_weight_gradient<T: Real>(form: Form, x: &[T], gy: &[T], s: &LinearShape, dw: &mut [T]) {
    if let (Some(x), Some(gy)) = (T::as_f32(x), T::as_f32(gy)) {
        return T::as_f32_mut(dw).into_iter().for_each(|dw| dense::linear_weight_gradient(form, x, gy, s, dw));
    }
    dw.copy_from_slice(&in_parts(s.rows, s.c_out * s.c_in, |range, sum| {
        let a = Strided { data: &gy[range.start * s.c_out..range.end * s.c_out], row: 1, column: s.c_out };
        let b = Strided { data: &x[range.start * s.c_in..range.end * s.c_in], row: s.c_in, column: 1 };
        matmul((s.c_out, s.c_in, range.len()), a, b, sum, s.c_in, false);
    }));
}

/// Computes the sum over the rows of g (rows, c), in double precision and in a fixed order.
pub fn column_sums<T: Real>(g: &[T], c: usize, out: &mut [T]) {
    let rows = g.len().checked_div(c).unwrap_or(0);
    let sums = in_parts(rows, c, |range, sum: &mut [f64]| {
        let part = &g[range.start * c..range.end * c];
        match T::as_f32(part) {
            Some(part) => rows::sums(Form::current(), part, sum),
            None => part.chunks_exact(c).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, &v)| *s += v.to_f64())),
        }
    });
    out.iter_mut().zip(sums).for_each(|(o, s)| *o = T::from_f64(s));
}

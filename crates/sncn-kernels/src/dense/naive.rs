//! Linear layers and their gradients as plain loops: the reference implementation.

use super::shape::LinearShape;
use std::ops::Range;

/// `out` = `x·Wᵀ + bias`.
pub(super) fn forward(x: &[f32], weight: &[f32], bias: Option<&[f32]>, s: &LinearShape, out: &mut [f32]) {
    for (r, row) in out.chunks_exact_mut(s.c_out).enumerate() {
        let x = &x[r * s.c_in..(r + 1) * s.c_in];
        for (o, y) in row.iter_mut().enumerate() {
            let products = x.iter().zip(&weight[o * s.c_in..]).map(|(&x, &w)| x * w);
            *y = bias.map_or(0.0, |b| b[o]) + products.sum::<f32>();
        }
    }
}

/// `dx` += `gy·W`.
pub(super) fn input_gradient(gy: &[f32], weight: &[f32], s: &LinearShape, dx: &mut [f32]) {
    for (dx, gy) in dx.chunks_exact_mut(s.c_in).zip(gy.chunks_exact(s.c_out)) {
        for (&g, w) in gy.iter().zip(weight.chunks_exact(s.c_in)) {
            dx.iter_mut().zip(w).for_each(|(d, &w)| *d += g * w);
        }
    }
}

/// `dw` = `gyᵀ·x` over these rows.
pub(super) fn weight_gradient(x: &[f32], gy: &[f32], s: &LinearShape, rows: Range<usize>, dw: &mut [f32]) {
    dw.fill(0.0);
    for r in rows {
        let x = &x[r * s.c_in..(r + 1) * s.c_in];
        for (&g, dw) in gy[r * s.c_out..].iter().zip(dw.chunks_exact_mut(s.c_in)) {
            dw.iter_mut().zip(x).for_each(|(d, &x)| *d += g * x);
        }
    }
}

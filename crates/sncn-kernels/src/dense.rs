//! Linear layers and their gradients in f32 on the register tile.
//!
//! Rows are cut in fixed blocks; the weight gradient sums 8 fixed parts of the rows in order.

mod bf16;
mod naive;
mod shape;

pub use bf16::linear_forward_bf16;
pub use shape::LinearShape;

use crate::panels::{panels, regroup};
use crate::parts::sum_parts;
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::tile::Rows;
use rayon::prelude::*;
use shape::ROWS;

/// Rows whose outer products are summed in registers before the sums go back to memory.
const DEPTH: usize = 256;

/// `out` (rows, columns) = `a` (rows, depth) times the panels.
fn multiply(form: Form, a: &[f32], depth: usize, packed: &[f32], columns: usize, bias: Option<&[f32]>, out: &mut [f32]) {
    let (width, together) = (form.panel(), form.panels());
    out.par_chunks_mut(ROWS * columns).zip(a.par_chunks(ROWS * depth)).for_each(|(out, a)| {
        for (p, panels) in packed.chunks(together * depth * width).enumerate() {
            let first = together * p * width;
            form.run(Rows {
                a,
                a_row: depth,
                a_step: 1,
                offsets: &[0],
                len: depth,
                b: panels,
                b_step: width,
                next: (depth * width, width),
                rows: out.len() / columns,
                columns: (together * width).min(columns - first),
                c: &mut out[first..],
                c_row: columns,
                add: false,
            });
        }
        if let Some(bias) = bias {
            for row in out.chunks_exact_mut(columns) {
                row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        }
    });
}

/// `out` (rows, c_out) = `x·Wᵀ + bias`.
pub(crate) fn linear_forward(form: Form, x: &[f32], weight: &[f32], bias: Option<&[f32]>, s: &LinearShape, out: &mut [f32]) {
    s.check(x, weight, out);
    assert!(bias.is_none_or(|b| b.len() == s.c_out), "linear: bias length");
    if out.is_empty() {
        return;
    }
    if s.c_in == 0 || form == Form::Naive {
        return naive::forward(x, weight, bias, s, out);
    }
    let packed = panels(form, s.c_in, s.c_out, |k, j| weight[j * s.c_in + k]);
    multiply(form, x, s.c_in, &packed, s.c_out, bias, out);
}

/// `dx` (rows, c_in) = `gy·W`.
pub(crate) fn linear_input_gradient(form: Form, gy: &[f32], weight: &[f32], s: &LinearShape, dx: &mut [f32]) {
    s.check(dx, weight, gy);
    if dx.is_empty() {
        return;
    }
    dx.fill(0.0);
    if s.c_out == 0 {
        return;
    }
    if form == Form::Naive {
        return naive::input_gradient(gy, weight, s, dx);
    }
    let packed = panels(form, s.c_out, s.c_in, |k, j| weight[k * s.c_in + j]);
    multiply(form, gy, s.c_out, &packed, s.c_in, None, dx);
}

/// `dw` (c_out, c_in) = `gyᵀ·x`.
pub(crate) fn linear_weight_gradient(form: Form, x: &[f32], gy: &[f32], s: &LinearShape, dw: &mut [f32]) {
    s.check(x, dw, gy);
    sum_parts(s.rows, dw, |rows, sum| {
        if form == Form::Naive {
            return naive::weight_gradient(x, gy, s, rows, sum);
        }
        let mut outer = Outer::new(form, s.c_out, s.c_in);
        for start in rows.clone().step_by(DEPTH) {
            let end = rows.end.min(start + DEPTH);
            outer.add(&gy[start * s.c_out..end * s.c_out], &x[start * s.c_in..end * s.c_in], sum, start > rows.start);
        }
    });
}

/// Sums of outer products of the rows of two matrices, the right one repacked so that a chunk of its rows lies together.
struct Outer {
    form: Form,
    left: usize,
    right: usize,
    packed: Scratch,
}

impl Outer {
    fn new(form: Form, left: usize, right: usize) -> Self {
        Self { form, left, right, packed: Scratch::take(right.next_multiple_of(form.panel()) * DEPTH) }
    }

    /// `sum` (left, right) = `aᵀ·b`, or with `more` += it; at most `DEPTH` rows.
    fn add(&mut self, a: &[f32], b: &[f32], sum: &mut [f32], more: bool) {
        let (depth, width, together) = (b.len() / self.right, self.form.panel(), self.form.panels());
        regroup(b, self.right, width, &mut self.packed[..self.right.next_multiple_of(width) * depth]);
        let laid = &self.packed[..self.right.next_multiple_of(width) * depth];
        for (p, panels) in laid.chunks(together * depth * width).enumerate() {
            let first = together * p * width;
            self.form.run(Rows {
                a,
                a_row: 1,
                a_step: self.left,
                offsets: &[0],
                len: depth,
                b: panels,
                b_step: width,
                next: (depth * width, width),
                rows: self.left,
                columns: (together * width).min(self.right - first),
                c: &mut sum[first..],
                c_row: self.right,
                add: more,
            });
        }
    }
}

//! The affine map and its gradients in f32 over the register tile; [`crate::product`] is the generic form.
//!
//! Rows are cut in fixed blocks; the weight gradient sums 8 fixed parts of the rows in order.

mod bf16;

pub use bf16::linear_forward_bf16;

use crate::product::{LinearShape, PARTS};
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::tile::Rows;
use rayon::prelude::*;
use std::ops::Range;

/// Rows a task takes.
const ROWS: usize = 64;
/// Rows whose outer products are summed in registers before the sums go back to memory.
const DEPTH: usize = 256;

/// Panels (`columns / panel`, `depth`, `panel`), zeros beyond the last column; `at(k, j)` is element j of row k.
fn panels(form: Form, depth: usize, columns: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Scratch {
    let width = form.panel();
    let mut packed = Scratch::take(columns.div_ceil(width) * depth * width);
    packed.par_chunks_exact_mut(depth * width).enumerate().for_each(|(p, panel)| {
        let (start, end) = (p * width, columns.min((p + 1) * width));
        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
            let (values, rest) = row.split_at_mut(end - start);
            values.iter_mut().enumerate().for_each(|(j, v)| *v = at(k, start + j));
            rest.fill(0.0);
        }
    });
    packed
}

/// `out` (rows, columns) = `a` (rows, depth) times the panels.
fn multiply(form: Form, a: &[f32], depth: usize, packed: &[f32], columns: usize, bias: Option<&[f32]>, out: &mut [f32]) {
    let width = form.panel();
    out.par_chunks_mut(ROWS * columns).zip(a.par_chunks(ROWS * depth)).for_each(|(out, a)| {
        for (p, panel) in packed.chunks_exact(depth * width).enumerate() {
            form.run(Rows {
                a,
                a_row: depth,
                a_step: 1,
                offsets: &[0],
                len: depth,
                b: panel,
                b_step: width,
                rows: out.len() / columns,
                columns: width.min(columns - p * width),
                c: &mut out[p * width..],
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

fn check(s: &LinearShape, x: &[f32], weight: &[f32], y: &[f32]) {
    assert_eq!((x.len(), weight.len(), y.len()), (s.rows * s.c_in, s.c_in * s.c_out, s.rows * s.c_out), "linear: lengths");
}

/// `out` (rows, c_out) = `x·Wᵀ + bias`.
///
/// # Panics
/// Where slice lengths do not fit the shape or the processor lacks the form.
pub fn linear_forward(form: Form, x: &[f32], weight: &[f32], bias: Option<&[f32]>, s: &LinearShape, out: &mut [f32]) {
    check(s, x, weight, out);
    assert!(bias.is_none_or(|b| b.len() == s.c_out), "linear: bias length");
    if out.is_empty() {
        return;
    }
    if s.c_in == 0 || form == Form::Naive {
        for (r, row) in out.chunks_exact_mut(s.c_out).enumerate() {
            let x = &x[r * s.c_in..(r + 1) * s.c_in];
            for (o, y) in row.iter_mut().enumerate() {
                let products = x.iter().zip(&weight[o * s.c_in..]).map(|(&x, &w)| x * w);
                *y = bias.map_or(0.0, |b| b[o]) + products.sum::<f32>();
            }
        }
        return;
    }
    let packed = panels(form, s.c_in, s.c_out, |k, j| weight[j * s.c_in + k]);
    multiply(form, x, s.c_in, &packed, s.c_out, bias, out);
}

/// `dx` (rows, c_in) = `gy·W`.
///
/// # Panics
/// As [`linear_forward`].
pub fn linear_input_gradient(form: Form, gy: &[f32], weight: &[f32], s: &LinearShape, dx: &mut [f32]) {
    check(s, dx, weight, gy);
    if dx.is_empty() {
        return;
    }
    dx.fill(0.0);
    if s.c_out == 0 {
        return;
    }
    if form == Form::Naive {
        for (dx, gy) in dx.chunks_exact_mut(s.c_in).zip(gy.chunks_exact(s.c_out)) {
            for (&g, w) in gy.iter().zip(weight.chunks_exact(s.c_in)) {
                dx.iter_mut().zip(w).for_each(|(d, &w)| *d += g * w);
            }
        }
        return;
    }
    let packed = panels(form, s.c_out, s.c_in, |k, j| weight[k * s.c_in + j]);
    multiply(form, gy, s.c_out, &packed, s.c_in, None, dx);
}

/// `dw` (c_out, c_in) = `gyᵀ·x`.
///
/// # Panics
/// As [`linear_forward`].
pub fn linear_weight_gradient(form: Form, x: &[f32], gy: &[f32], s: &LinearShape, dw: &mut [f32]) {
    check(s, x, dw, gy);
    sum_parts(s.rows, dw, |rows, sum| {
        if form == Form::Naive {
            sum.fill(0.0);
            for r in rows {
                let x = &x[r * s.c_in..(r + 1) * s.c_in];
                for (&g, sum) in gy[r * s.c_out..].iter().zip(sum.chunks_exact_mut(s.c_in)) {
                    sum.iter_mut().zip(x).for_each(|(d, &x)| *d += g * x);
                }
            }
            return;
        }
        let mut outer = Outer::new(form, s.c_out, s.c_in);
        for start in rows.clone().step_by(DEPTH) {
            let end = rows.end.min(start + DEPTH);
            outer.add(&gy[start * s.c_out..end * s.c_out], &x[start * s.c_in..end * s.c_in], sum, start > rows.start);
        }
    });
}

/// `total` = the sum of 8 parts of `0..count`, each written by `fill` over whatever its buffer holds, added in order.
pub(crate) fn sum_parts(count: usize, total: &mut [f32], fill: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    total.fill(0.0);
    if total.is_empty() || count == 0 {
        return;
    }
    let len = total.len();
    let mut parts = Scratch::take(PARTS * len);
    parts.par_chunks_exact_mut(len).enumerate().for_each(|(p, sum)| {
        let range = count * p / PARTS..count * (p + 1) / PARTS;
        if range.is_empty() { sum.fill(0.0) } else { fill(range, sum) }
    });
    const BLOCK: usize = 1 << 14;
    total.par_chunks_mut(BLOCK).enumerate().for_each(|(i, total)| {
        for part in parts.chunks_exact(len) {
            total.iter_mut().zip(&part[i * BLOCK..]).for_each(|(t, &p)| *t += p);
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
        let (depth, width) = (b.len() / self.right, self.form.panel());
        regroup(b, self.right, width, &mut self.packed[..self.right.next_multiple_of(width) * depth]);
        for (p, panel) in self.packed.chunks_exact(depth * width).take(self.right.div_ceil(width)).enumerate() {
            self.form.run(Rows {
                a,
                a_row: 1,
                a_step: self.left,
                offsets: &[0],
                len: depth,
                b: panel,
                b_step: width,
                rows: self.left,
                columns: width.min(self.right - p * width),
                c: &mut sum[p * width..],
                c_row: self.right,
                add: more,
            });
        }
    }
}

/// (rows, columns) to (columns / width, rows, width), zeros beyond the last column.
pub(crate) fn regroup(plain: &[f32], columns: usize, width: usize, packed: &mut [f32]) {
    match width {
        8 => regroup_by::<8>(plain, columns, packed),
        16 => regroup_by::<16>(plain, columns, packed),
        _ => regroup_by::<32>(plain, columns, packed),
    }
}

/// A constant width: a call of `memcpy` for every few floats costs more than the copy.
fn regroup_by<const W: usize>(plain: &[f32], columns: usize, packed: &mut [f32]) {
    let rows = plain.len() / columns;
    let (panels, _) = packed.as_chunks_mut::<W>();
    for (p, panel) in panels.chunks_exact_mut(rows).enumerate() {
        let start = p * W;
        for (to, row) in panel.iter_mut().zip(plain.chunks_exact(columns)) {
            match row[start..].first_chunk::<W>() {
                Some(from) => *to = *from,
                None => *to = std::array::from_fn(|j| row.get(start + j).copied().unwrap_or(0.0)),
            }
        }
    }
}

//! Linear layers in bf16: x and the weight are rounded, sums are f32.

use super::naive;
use super::shape::{LinearShape, ROWS};
use crate::bf16::{pair, round};
use crate::pairs::Round;
use crate::panels::panels;
use crate::scratch::Scratch;
use crate::simd::Form;
use crate::tile::{Pairs, Rows};
use rayon::prelude::*;

/// Computes x·Wᵀ + bias, (rows, c_out), with x and W rounded to bf16; for inference.
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn linear_forward_bf16(form: Form, x: &[f32], weight: &[f32], bias: Option<&[f32]>, s: &LinearShape, out: &mut [f32]) {
    s.check(x, weight, out);
    assert!(bias.is_none_or(|b| b.len() == s.c_out), "linear: bias length");
    if out.is_empty() {
        return;
    }
    if s.c_in == 0 || form == Form::Naive {
        let rounded = |v: &[f32]| v.iter().map(|&v| round(v)).collect::<Vec<_>>();
        return naive::forward(&rounded(x), &rounded(weight), bias, s, out);
    }
    let (depth, width, columns) = (s.c_in.div_ceil(2), form.panel(), s.c_out);
    let packed = panels(form, depth, columns, |k, j| {
        let row = &weight[j * s.c_in..(j + 1) * s.c_in];
        pair(row[2 * k], row.get(2 * k + 1).copied().unwrap_or(0.0))
    });
    out.par_chunks_mut(ROWS * columns).zip(x.par_chunks(ROWS * s.c_in)).for_each(|(out, x)| {
        let rows = out.len() / columns;
        let mut a = Scratch::take(rows * depth);
        form.run_pairs(Round { from: x, channels: s.c_in, pairs: &mut a });
        for (p, panel) in packed.chunks_exact(depth * width).enumerate() {
            form.run_pairs(Pairs(Rows {
                a: &a,
                a_row: depth,
                a_step: 1,
                offsets: &[0],
                len: depth,
                b: panel,
                b_step: width,
                next: (0, 0),
                rows,
                columns: width.min(columns - p * width),
                c: &mut out[p * width..],
                c_row: columns,
                add: false,
            }));
        }
        if let Some(bias) = bias {
            for row in out.chunks_exact_mut(columns) {
                row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
            }
        }
    });
}

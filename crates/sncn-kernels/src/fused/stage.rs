//! Staging of a unit's input rows, and storing of its weight-gradient sums.

use super::plan::{Map, Plan, Unit, Window};
use crate::scratch::Scratch;
use crate::simd::Form;
use std::ops::Range;

/// Every row of every image, for the naive form.
pub(super) fn stage_all(map: Map, n: usize, stage: &impl Fn(usize, usize, &mut [f32])) -> Vec<f32> {
    let mut values = vec![0.0; n * map.len()];
    if map.row() > 0 {
        values.chunks_exact_mut(map.row()).enumerate().for_each(|(i, row)| stage(i / map.h, i % map.h, row));
    }
    values
}

/// Returns the `stage` of a plain convolution, which copies rows of `x` (n, h, w, c); `row_len` is w·c.
pub fn copy_rows(x: &[f32], h: usize, row_len: usize) -> impl Fn(usize, usize, &mut [f32]) + Sync + '_ {
    move |n, row, out| out.copy_from_slice(&x[(n * h + row) * row_len..][..row_len])
}

/// The `finish` of a plain convolution, which leaves the rows unchanged.
pub fn no_finish(_: usize, _: Range<usize>, _: &mut [f32]) {}

/// The windows of x and the bands of gy of a unit, image by image; gy is followed by room for a vector.
pub(super) fn stage<S, G>(form: Form, plan: &Plan, unit: &Unit, stage_x: &S, stage_gy: &G) -> (Window, Scratch, Scratch)
where
    S: Fn(usize, usize, &mut [f32]) + Sync,
    G: Fn(usize, usize, &mut [f32]) + Sync,
{
    let window = plan.window(&unit.rows);
    let size = window.rows * window.width * plan.source.c;
    let band = unit.rows.len() * plan.target.row();
    let mut x = Scratch::take(unit.images.len() * size);
    // vectors at the last columns read beyond them
    let mut gy = Scratch::take(unit.images.len() * band + form.panel());
    form.enter(|| {
        for (i, n) in unit.images.clone().enumerate() {
            plan.fill(&window, n, stage_x, &mut x[i * size..(i + 1) * size]);
            for (row, y) in unit.rows.clone().zip(gy[i * band..(i + 1) * band].chunks_exact_mut(plan.target.row())) {
                stage_gy(n, row, y);
            }
        }
    });
    (window, x, gy)
}

/// Sums (tap, channel of x, channel of gy), a tap `plane` floats from the next, into rows (channel of gy, channel of x, tap) of `dw`.
pub(super) fn place(
    sums: &[f32],
    plane: usize,
    width: usize,
    channels: Range<usize>,
    (inner, taps): (usize, usize),
    dw: &mut [f32],
) {
    for (o, dw) in dw.chunks_exact_mut(inner * taps).enumerate() {
        let kernels = dw[channels.start * taps..channels.end * taps].chunks_exact_mut(taps);
        for (c, kernel) in kernels.enumerate() {
            kernel.iter_mut().enumerate().for_each(|(t, d)| *d = sums[t * plane + c * width + o]);
        }
    }
}

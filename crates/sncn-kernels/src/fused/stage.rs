//! Staging of a unit's input rows, and storing of its weight-gradient sums.

use super::plan::{Algorithm, Map, Plan, Unit, Window};
use super::source::Source;
use crate::scratch::Scratch;
use crate::simd::Form;
use std::ops::{Deref, Range};

/// Every row of every image, for the naive form.
pub(super) fn stage_all(map: Map, n: usize, stage: &impl Source) -> Vec<f32> {
    let mut values = vec![0.0; n * map.len()];
    if map.row() > 0 {
        values.chunks_exact_mut(map.row()).enumerate().for_each(|(i, row)| stage.row(i / map.h, i % map.h, row));
    }
    values
}

/// The `finish` of a plain convolution, which leaves the rows unchanged.
pub fn no_finish(_: usize, _: Range<usize>, _: &mut [f32]) {}

/// Values of a unit: in place, or staged.
pub(super) enum Values<'a> {
    InPlace(&'a [f32]),
    Staged(Scratch),
}

impl Deref for Values<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::InPlace(values) => values,
            Self::Staged(values) => values,
        }
    }
}

/// Maps from the first row of a unit on, whose rows lie one after another in `map` as they do in the unit.
pub(super) fn from_unit<'a>(maps: &'a [f32], map: Map, unit: &Unit) -> &'a [f32] {
    &maps[(unit.images.start * map.h + unit.rows.start) * map.row()..]
}

/// The windows of x and the bands of gy of a unit, image by image; gy is followed by room for a vector.
pub(super) fn stage<'a, S, G>(
    form: Form,
    plan: &Plan,
    unit: &Unit,
    stage_x: &'a S,
    stage_gy: &'a G,
) -> (Window, Values<'a>, Values<'a>)
where
    S: Source,
    G: Source,
{
    let window = plan.window(&unit.rows);
    let size = window.rows * window.width * plan.source.c;
    let band = unit.rows.len() * plan.target.row();
    let x = match stage_x.plain().filter(|_| plan.shape.pointwise()) {
        Some(x) => Values::InPlace(from_unit(x, plan.source, unit)),
        None => {
            let mut x = Scratch::take(unit.images.len() * size);
            form.enter(|| {
                for (n, x) in unit.images.clone().zip(x.chunks_exact_mut(size.max(1))) {
                    plan.fill(&window, n, stage_x, x);
                }
            });
            Values::Staged(x)
        }
    };
    // vectors at the last columns of a group read beyond them
    let whole = plan.algorithm == Algorithm::Depthwise || plan.group().1.is_multiple_of(form.panel() / 2);
    let gy = match stage_gy.plain().filter(|_| whole) {
        Some(gy) => Values::InPlace(from_unit(gy, plan.target, unit)),
        None => {
            let mut gy = Scratch::take(unit.images.len() * band + form.panel());
            form.enter(|| {
                for (n, gy) in unit.images.clone().zip(gy.chunks_exact_mut(band.max(1))) {
                    for (row, y) in unit.rows.clone().zip(gy.chunks_exact_mut(plan.target.row())) {
                        stage_gy.row(n, row, y);
                    }
                }
            });
            Values::Staged(gy)
        }
    };
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

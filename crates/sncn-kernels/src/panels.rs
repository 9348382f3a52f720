//! Matrices laid out in panels of a few columns, as the register tile reads them.

use crate::scratch::Scratch;
use crate::simd::Form;
use rayon::prelude::*;

/// Panels (`columns / panel`, `depth`, `panel`), zeros beyond the last column; `at(k, j)` is element j of row k.
pub(crate) fn panels(form: Form, depth: usize, columns: usize, at: impl Fn(usize, usize) -> f32 + Sync) -> Scratch {
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

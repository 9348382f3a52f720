//! Channels-last bilinear (`align_corners = false`, no antialiasing) and nearest resizing, forward and backward.
//!
//! Bilinear: source `max(0, (i + ½)·in/out − ½)`, two taps per axis; nearest: source `⌊i·in/out⌋`.

use crate::real::Real;
use rayon::prelude::*;

/// Extents of a resize from (n, h, w, c) to (n, ho, wo, c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ResizeShape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub ho: usize,
    pub wo: usize,
    /// Bilinear, else nearest.
    pub bilinear: bool,
}

type Taps<T> = Vec<[(usize, T); 2]>;

fn taps<T: Real>(from: usize, to: usize, bilinear: bool) -> Taps<T> {
    let scale = from as f64 / to as f64;
    let tap = |i: usize| {
        if !bilinear {
            let at = (i * from / to).min(from - 1);
            return [(at, T::ONE), (at, T::ZERO)];
        }
        let source = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
        let low = (source as usize).min(from - 1);
        let part = (source - low as f64).min(1.0);
        [(low, T::real(1.0 - part)), ((low + 1).min(from - 1), T::real(part))]
    };
    (0..to).map(tap).collect()
}

fn each<T: Real>(s: &ResizeShape, rows: &Taps<T>, columns: &Taps<T>, mut visit: impl FnMut(usize, usize, T)) {
    for (i, row) in rows.iter().enumerate() {
        for (j, column) in columns.iter().enumerate() {
            for &(y, wy) in row {
                for &(x, wx) in column {
                    let weight = wy * wx;
                    if weight != T::ZERO {
                        visit((i * s.wo + j) * s.c, (y * s.w + x) * s.c, weight);
                    }
                }
            }
        }
    }
}

fn add<T: Real>(to: &mut [T], from: &[T], weight: T) {
    to.iter_mut().zip(from).for_each(|(t, &f)| *t += f * weight);
}

/// `out` (n, ho, wo, c) from `x`.
pub fn resize_forward<T: Real>(x: &[T], s: &ResizeShape, out: &mut [T]) {
    let (rows, columns) = (taps(s.h, s.ho, s.bilinear), taps(s.w, s.wo, s.bilinear));
    let (size_in, size_out) = ((s.h * s.w * s.c).max(1), (s.ho * s.wo * s.c).max(1));
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each(|(out, x)| {
        out.fill(T::ZERO);
        each(s, &rows, &columns, |o, i, weight| add(&mut out[o..o + s.c], &x[i..i + s.c], weight));
    });
}

/// `dx` (n, h, w, c) from `gy`.
pub fn resize_backward<T: Real>(gy: &[T], s: &ResizeShape, dx: &mut [T]) {
    let (rows, columns) = (taps(s.h, s.ho, s.bilinear), taps(s.w, s.wo, s.bilinear));
    let (size_in, size_out) = ((s.h * s.w * s.c).max(1), (s.ho * s.wo * s.c).max(1));
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each(|(dx, gy)| {
        dx.fill(T::ZERO);
        each(s, &rows, &columns, |o, i, weight| add(&mut dx[i..i + s.c], &gy[o..o + s.c], weight));
    });
}

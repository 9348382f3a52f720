//! Channels-last bilinear (`align_corners = false`, no antialiasing) and nearest resizing, forward and backward.
//!
//! Bilinear: source `max(0, (i + ½)·in/out − ½)`, two taps per axis; nearest: source `⌊i·in/out⌋`.

use crate::columns::{Columns, each, load, run, store, zeros};
use crate::real::Real;
use crate::simd::{Form, Vector};
use rayon::prelude::*;

/// Shape of a resize from (n, h, w, c) to (n, ho, wo, c).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ResizeShape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub ho: usize,
    pub wo: usize,
    /// Bilinear interpolation, else nearest.
    pub bilinear: bool,
}

impl ResizeShape {
    fn check(&self, input: usize, output: usize) {
        let lens = (self.n * self.h * self.w * self.c, self.n * self.ho * self.wo * self.c);
        assert!((input, output) == lens, "resize: {input} and {output} values for {self:?}");
    }
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
        let fraction = (source - low as f64).min(1.0);
        [(low, T::from_f64(1.0 - fraction)), ((low + 1).min(from - 1), T::from_f64(fraction))]
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

/// Resizes x (n, h, w, c) to out (n, ho, wo, c).
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn resize_forward<T: Real>(form: Form, x: &[T], s: &ResizeShape, out: &mut [T]) {
    s.check(x.len(), out.len());
    if let (true, Some(x)) = (form != Form::Naive && !x.is_empty() && !out.is_empty(), T::as_f32(x)) {
        return T::as_f32_mut(out).into_iter().for_each(|out| vectors(form, s, x, out, false));
    }
    let (rows, columns) = (taps(s.h, s.ho, s.bilinear), taps(s.w, s.wo, s.bilinear));
    let (size_in, size_out) = ((s.h * s.w * s.c).max(1), (s.ho * s.wo * s.c).max(1));
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each(|(out, x)| {
        out.fill(T::ZERO);
        each(s, &rows, &columns, |o, i, weight| add(&mut out[o..o + s.c], &x[i..i + s.c], weight));
    });
}

/// Computes the gradient dx (n, h, w, c) of [`resize_forward`] from gy (n, ho, wo, c).
///
/// # Panics
/// As [`resize_forward`].
pub fn resize_backward<T: Real>(form: Form, gy: &[T], s: &ResizeShape, dx: &mut [T]) {
    s.check(dx.len(), gy.len());
    if let (true, Some(gy)) = (form != Form::Naive && !gy.is_empty() && !dx.is_empty(), T::as_f32(gy)) {
        return T::as_f32_mut(dx).into_iter().for_each(|dx| vectors(form, s, gy, dx, true));
    }
    let (rows, columns) = (taps(s.h, s.ho, s.bilinear), taps(s.w, s.wo, s.bilinear));
    let (size_in, size_out) = ((s.h * s.w * s.c).max(1), (s.ho * s.wo * s.c).max(1));
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each(|(dx, gy)| {
        dx.fill(T::ZERO);
        each(s, &rows, &columns, |o, i, weight| add(&mut dx[i..i + s.c], &gy[o..o + s.c], weight));
    });
}

/// One image, over vectors of channels: forward to `out`, or the gradient of `out` added to `dx`.
struct Image<'a> {
    s: &'a ResizeShape,
    taps: (&'a Taps<f32>, &'a Taps<f32>),
    from: &'a [f32],
    to: &'a mut [f32],
    backward: bool,
}

impl Columns for Image<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let s = self.s;
        for (i, row) in self.taps.0.iter().enumerate() {
            for (j, column) in self.taps.1.iter().enumerate() {
                let o = (i * s.wo + j) * s.c + start;
                let weights =
                    [[row[0].1 * column[0].1, row[0].1 * column[1].1], [row[1].1 * column[0].1, row[1].1 * column[1].1]];
                // SAFETY: `check` found both lengths to be those of the shape; taps lie in the input.
                unsafe {
                    if self.backward {
                        let g = load::<V, NV, FULL>(self.from.as_ptr().add(o), count);
                        for (&(y, _), weights) in row.iter().zip(weights) {
                            for (&(x, _), weight) in column.iter().zip(weights) {
                                if weight != 0. {
                                    let (p, weight) = (self.to.as_mut_ptr().add((y * s.w + x) * s.c + start), V::splat(weight));
                                    let dx = load::<V, NV, FULL>(p, count);
                                    store::<V, NV, FULL>(each!(|i| g[i].fma(weight, dx[i])), p, count);
                                }
                            }
                        }
                    } else {
                        let mut sum = zeros::<V, NV>();
                        // a tap of weight 0 is not read, since its value may be infinite
                        for (&(y, _), weights) in row.iter().zip(weights) {
                            for (&(x, _), weight) in column.iter().zip(weights) {
                                if weight != 0. {
                                    let p = self.from.as_ptr().add((y * s.w + x) * s.c + start);
                                    let (v, weight) = (load::<V, NV, FULL>(p, count), V::splat(weight));
                                    sum = each!(|i| v[i].fma(weight, sum[i]));
                                }
                            }
                        }
                        store::<V, NV, FULL>(sum, self.to.as_mut_ptr().add(o), count);
                    }
                }
            }
        }
    }
}

fn vectors(form: Form, s: &ResizeShape, from: &[f32], to: &mut [f32], backward: bool) {
    let (rows, columns) = (taps(s.h, s.ho, s.bilinear), taps(s.w, s.wo, s.bilinear));
    let (size_in, size_out) = (s.h * s.w * s.c, s.ho * s.wo * s.c);
    let (size_from, size_to) = if backward { (size_out, size_in) } else { (size_in, size_out) };
    to.par_chunks_mut(size_to).zip(from.par_chunks(size_from)).for_each(|(to, from)| {
        if backward {
            to.fill(0.);
        }
        run(form, &mut Image { s, taps: (&rows, &columns), from, to, backward }, s.c);
    });
}

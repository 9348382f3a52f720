//! Pooling in f32 over vectors of channels, in a form by name.
//!
//! The backward passes gather: each input position asks the windows that hold it, in row-major order, so that it is
//! written once.

use super::generic;
use super::shape::PoolShape;
use crate::columns::{Columns, each, load, run, store, zeros};
use crate::simd::{Form, Vector};
use rayon::prelude::*;
use std::ops::Range;

impl PoolShape {
    /// The input rows (or columns) that output `o` reads, of `size` there are.
    #[inline(always)]
    fn window(&self, o: usize, size: usize) -> Range<usize> {
        let start = o * self.stride;
        start.saturating_sub(self.padding).min(size)..(start + self.kernel).saturating_sub(self.padding).min(size)
    }

    /// The outputs of `size` whose windows hold input row (or column) `i`.
    #[inline(always)]
    fn readers(&self, i: usize, size: usize) -> Range<usize> {
        let first = (i + self.padding + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first.min(size)..((i + self.padding) / self.stride + 1).min(size)
    }

    fn check(&self, input: usize, output: usize, argmax: usize) -> bool {
        assert!(self.kernel > 0 && self.stride > 0 && self.h.min(self.w) + 2 * self.padding >= self.kernel, "{self:?}");
        let (h, w) = self.output();
        let lens = (self.n * self.h * self.w * self.c, self.n * h * w * self.c);
        assert!((input, output) == lens && argmax == output, "pool: {input} in, {output} out, {argmax} positions, {self:?}");
        assert!(i32::try_from(self.h * self.w).is_ok(), "pool: positions must fit 31 bits");
        input > 0 && output > 0
    }
}

/// What each output row (or column) reads, or what reads each input row (or column).
struct Grid {
    rows: Vec<Range<usize>>,
    columns: Vec<Range<usize>>,
}

impl Grid {
    fn windows(s: &PoolShape) -> Self {
        let (h, w) = s.output();
        Self { rows: (0..h).map(|y| s.window(y, s.h)).collect(), columns: (0..w).map(|x| s.window(x, s.w)).collect() }
    }

    fn readers(s: &PoolShape) -> Self {
        let (h, w) = s.output();
        Self { rows: (0..s.h).map(|y| s.readers(y, h)).collect(), columns: (0..s.w).map(|x| s.readers(x, w)).collect() }
    }

    /// Every pair of a row's and a column's range, row-major.
    #[inline(always)]
    fn pairs(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        self.rows.iter().flat_map(|y| self.columns.iter().map(move |x| (y.clone(), x.clone())))
    }
}

struct Forward<'a> {
    s: PoolShape,
    grid: &'a Grid,
    x: &'a [f32],
    out: &'a mut [f32],
    /// Positions of the maxima; none for means.
    argmax: Option<&'a mut [u32]>,
}

impl Columns for Forward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let s = self.s;
        // SAFETY: `check` found the lengths to be those of the shape, and windows are cut to the image. Positions travel
        // as the bits of f32, which has the size and alignment of u32, and are only moved.
        unsafe {
            let scale = V::splat(1. / (s.kernel * s.kernel) as f32);
            for (o, (rows, columns)) in self.grid.pairs().enumerate() {
                let to = o * s.c + start;
                if let Some(argmax) = &mut self.argmax {
                    let (mut best, mut at) = ([V::splat(f32::NEG_INFINITY); NV], [V::splat(f32::from_bits(u32::MAX)); NV]);
                    // the first is taken even where it is −∞
                    let mut first = true;
                    for q in rows.flat_map(|y| y * s.w + columns.start..y * s.w + columns.end) {
                        let v = load::<V, NV, FULL>(self.x.as_ptr().add(q * s.c + start), count);
                        let here = V::splat(f32::from_bits(q as u32));
                        if first {
                            (best, at, first) = (v, [here; NV], false);
                        } else {
                            at = each!(|i| v[i].pick_larger(best[i], here, at[i]));
                            best = each!(|i| v[i].pick_larger(best[i], v[i], best[i]));
                        }
                    }
                    store::<V, NV, FULL>(best, self.out.as_mut_ptr().add(to), count);
                    store::<V, NV, FULL>(at, argmax.as_mut_ptr().cast::<f32>().add(to), count);
                } else {
                    let mut sum = zeros::<V, NV>();
                    for q in rows.flat_map(|y| y * s.w + columns.start..y * s.w + columns.end) {
                        let v = load::<V, NV, FULL>(self.x.as_ptr().add(q * s.c + start), count);
                        sum = each!(|i| sum[i].add(v[i]));
                    }
                    let mean = each!(|i| sum[i].mul(scale));
                    store::<V, NV, FULL>(mean, self.out.as_mut_ptr().add(to), count);
                }
            }
        }
    }
}

struct Backward<'a> {
    s: PoolShape,
    grid: &'a Grid,
    gy: &'a [f32],
    argmax: Option<&'a [u32]>,
    dx: &'a mut [f32],
}

impl Columns for Backward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        let (s, (_, wo)) = (self.s, self.s.output());
        // SAFETY: as in `Forward`; readers are cut to the output.
        unsafe {
            let scale = V::splat(1. / (s.kernel * s.kernel) as f32);
            for (q, (rows, columns)) in self.grid.pairs().enumerate() {
                let (mut sum, here) = (zeros::<V, NV>(), V::splat(f32::from_bits(q as u32)));
                for o in rows.flat_map(|y| y * wo + columns.start..y * wo + columns.end) {
                    let g = load::<V, NV, FULL>(self.gy.as_ptr().add(o * s.c + start), count);
                    if let Some(argmax) = self.argmax {
                        let at = load::<V, NV, FULL>(argmax.as_ptr().cast::<f32>().add(o * s.c + start), count);
                        sum = each!(|i| sum[i].add(g[i].where_same(at[i], here)));
                    } else {
                        sum = each!(|i| g[i].fma(scale, sum[i]));
                    }
                }
                store::<V, NV, FULL>(sum, self.dx.as_mut_ptr().add(q * s.c + start), count);
            }
        }
    }
}

/// [`super::max_pool_forward`] over vectors of channels.
pub(super) fn max_pool_forward(form: Form, x: &[f32], s: &PoolShape, out: &mut [f32], argmax: &mut [u32]) {
    if !s.check(x.len(), out.len(), argmax.len()) {
        return generic::max_pool_forward(x, s, out, argmax);
    }
    let ((size_in, size_out), grid) = (s.sizes(), Grid::windows(s));
    let out = out.par_chunks_mut(size_out).zip(argmax.par_chunks_mut(size_out));
    out.zip(x.par_chunks(size_in)).for_each(|((out, argmax), x)| {
        run(form, &mut Forward { s: *s, grid: &grid, x, out, argmax: Some(argmax) }, s.c);
    });
}

/// [`super::max_pool_backward`] over vectors of channels.
pub(super) fn max_pool_backward(form: Form, gy: &[f32], argmax: &[u32], s: &PoolShape, dx: &mut [f32]) {
    if !s.check(dx.len(), gy.len(), argmax.len()) {
        return generic::max_pool_backward(gy, argmax, s, dx);
    }
    let ((size_in, size_out), grid) = (s.sizes(), Grid::readers(s));
    let gy = gy.par_chunks(size_out).zip(argmax.par_chunks(size_out));
    dx.par_chunks_mut(size_in).zip(gy).for_each(|(dx, (gy, argmax))| {
        run(form, &mut Backward { s: *s, grid: &grid, gy, argmax: Some(argmax), dx }, s.c);
    });
}

/// [`super::avg_pool_forward`] over vectors of channels.
pub(super) fn avg_pool_forward(form: Form, x: &[f32], s: &PoolShape, out: &mut [f32]) {
    if !s.check(x.len(), out.len(), out.len()) {
        return generic::avg_pool_forward(x, s, out);
    }
    let ((size_in, size_out), grid) = (s.sizes(), Grid::windows(s));
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each(|(out, x)| {
        run(form, &mut Forward { s: *s, grid: &grid, x, out, argmax: None }, s.c);
    });
}

/// [`super::avg_pool_backward`] over vectors of channels.
pub(super) fn avg_pool_backward(form: Form, gy: &[f32], s: &PoolShape, dx: &mut [f32]) {
    if !s.check(dx.len(), gy.len(), gy.len()) {
        return generic::avg_pool_backward(gy, s, dx);
    }
    let ((size_in, size_out), grid) = (s.sizes(), Grid::readers(s));
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each(|(dx, gy)| {
        run(form, &mut Backward { s: *s, grid: &grid, gy, argmax: None, dx }, s.c);
    });
}

/// [`super::global_avg_forward`] over vectors of channels.
pub(super) fn global_avg_forward(form: Form, x: &[f32], positions: usize, c: usize, out: &mut [f32]) {
    if x.is_empty() {
        return generic::global_avg_forward(x, positions, c, out);
    }
    assert!(x.len() == out.len() * positions && out.len().is_multiple_of(c), "pool: lengths");
    out.par_chunks_mut(c).zip(x.par_chunks(positions * c)).for_each(|(out, x)| {
        let mut total = vec![0f64; c];
        crate::rows::sums(form, x, &mut total);
        out.iter_mut().zip(total).for_each(|(out, sum)| *out = (sum / positions as f64) as f32);
    });
}

/// [`super::global_avg_backward`] over vectors of channels.
pub(super) fn global_avg_backward(form: Form, gy: &[f32], positions: usize, c: usize, dx: &mut [f32]) {
    if dx.is_empty() {
        return generic::global_avg_backward(gy, positions, c, dx);
    }
    assert!(dx.len() == gy.len() * positions && gy.len().is_multiple_of(c), "pool: lengths");
    let scale = (1. / positions as f64) as f32;
    dx.par_chunks_mut(positions * c).zip(gy.par_chunks(c)).for_each(|(dx, gy)| {
        run(form, &mut Spread { gy, scale, dx }, c);
    });
}

struct Spread<'a> {
    gy: &'a [f32],
    scale: f32,
    dx: &'a mut [f32],
}

impl Columns for Spread<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector, const NV: usize, const FULL: bool>(&mut self, start: usize, count: usize) {
        // SAFETY: dx is whole rows of the length of gy.
        unsafe {
            let scale = V::splat(self.scale);
            let g = load::<V, NV, FULL>(self.gy.as_ptr().add(start), count);
            let g = each!(|i| g[i].mul(scale));
            for at in (start..self.dx.len()).step_by(self.gy.len()) {
                store::<V, NV, FULL>(g, self.dx.as_mut_ptr().add(at), count);
            }
        }
    }
}

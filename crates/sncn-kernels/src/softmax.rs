//! Softmax over the rows of (rows, width), and its gradient.
//!
//! The largest value of a row is subtracted first, so that large values do not overflow; −∞ has probability 0. A row of −∞ only, or
//! with +∞ or NaN, gives NaN.

use crate::lanes::{self, SPAN, TASK};
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use rayon::prelude::*;

struct Forward<'a> {
    x: &'a [f32],
    width: usize,
    y: &'a mut [f32],
}

/// Writes exp(xᵢ − max) to `out` and returns the maximum and the sum.
///
/// # Safety
/// The processor must have the instructions of `V`; `x` and `out` must be valid for `width` elements.
#[inline(always)]
unsafe fn exponentials<V: Vector>(x: *const f32, width: usize, dead: V, out: *mut f32) -> (f32, f32) {
    // SAFETY: every index is below `width`; the caller vouches for the rest.
    unsafe {
        let mut most = V::splat(f32::NEG_INFINITY);
        for i in (0..width).step_by(V::LANES) {
            most = lanes::load(x, i, width, dead).max(most);
        }
        let most = lanes::largest(most);
        let (centre, mut total, mut at) = (V::splat(most), 0f64, 0);
        while at < width {
            let (mut sum, stop) = (V::splat(0.), width.min(at + SPAN * V::LANES));
            while at < stop {
                let e = lanes::exp(lanes::load(x, at, width, dead).sub(centre));
                lanes::store(e, out, at, width);
                sum = sum.add(e);
                at += V::LANES;
            }
            total += f64::from(lanes::sum(sum));
        }
        (most, total as f32)
    }
}

/// Writes factor·exp(xᵢ − max) / Σ to `out` and returns the maximum and the sum; `out` must not overlap `x`.
///
/// # Safety
/// As [`exponentials`].
#[inline(always)]
pub(crate) unsafe fn scaled<V: Vector>(x: *const f32, width: usize, dead: V, out: *mut f32, factor: f32) -> (f32, f32) {
    // SAFETY: every index is below `width`; the caller vouches for the rest.
    unsafe {
        if width <= V::LANES {
            return short::<V, 1>(x, width, dead, out, factor);
        }
        if width <= 2 * V::LANES {
            return short::<V, 2>(x, width, dead, out, factor);
        }
        let (most, sum) = exponentials(x, width, dead, out);
        let scale = V::splat(factor / sum);
        for i in (0..width).step_by(V::LANES) {
            lanes::store(lanes::load(out, i, width, dead).mul(scale), out, i, width);
        }
        (most, sum)
    }
}

/// [`scaled`] of a row that fits `NV` vectors, which stay in registers.
#[inline(always)]
unsafe fn short<V: Vector, const NV: usize>(x: *const f32, width: usize, dead: V, out: *mut f32, factor: f32) -> (f32, f32) {
    // SAFETY: the caller chose NV so that every vector begins below `width`.
    unsafe {
        let mut values: [V; NV] = std::array::from_fn(|i| lanes::load(x, i * V::LANES, width, dead));
        let mut most = V::splat(f32::NEG_INFINITY);
        for v in values {
            most = v.max(most);
        }
        let most = lanes::largest(most);
        let (centre, mut sum) = (V::splat(most), V::splat(0.));
        for v in &mut values {
            *v = lanes::exp(v.sub(centre));
            sum = sum.add(*v);
        }
        let sum = lanes::sum(sum);
        let scale = V::splat(factor / sum);
        for (i, v) in values.into_iter().enumerate() {
            lanes::store(v.mul(scale), out, i * V::LANES, width);
        }
        (most, sum)
    }
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let width = self.width;
        // SAFETY: rows are whole; `Form::run` checked the processor.
        unsafe {
            let dead = lanes::tail::<V>(width, f32::NEG_INFINITY);
            for (x, y) in self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)) {
                scaled(x.as_ptr(), width, dead, y.as_mut_ptr(), 1.);
            }
        }
    }
}

struct Backward<'a> {
    y: &'a [f32],
    gy: &'a [f32],
    width: usize,
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let width = self.width;
        let rows = self.y.chunks_exact(width).zip(self.gy.chunks_exact(width)).zip(self.dx.chunks_exact_mut(width));
        for ((y, g), dx) in rows {
            let (y, g, dx) = (y.as_ptr(), g.as_ptr(), dx.as_mut_ptr());
            // SAFETY: every index is below `width`; `Form::run` checked the processor.
            unsafe {
                let (none, mut total, mut at) = (V::splat(0.), 0f64, 0);
                while at < width {
                    let (mut sum, stop) = (V::splat(0.), width.min(at + SPAN * V::LANES));
                    while at < stop {
                        let g = lanes::load(g, at, width, none);
                        sum = g.fma(lanes::load(y, at, width, none), sum);
                        at += V::LANES;
                    }
                    total += f64::from(lanes::sum(sum));
                }
                let total = V::splat(total as f32);
                for i in (0..width).step_by(V::LANES) {
                    let (y, g) = (lanes::load(y, i, width, none), lanes::load(g, i, width, none));
                    lanes::store(y.mul(g.sub(total)), dx, i, width);
                }
            }
        }
    }
}

fn check(width: usize, lens: &[usize]) -> bool {
    assert!(lens.iter().all(|&len| len == lens[0] && (len == 0 || width > 0 && len.is_multiple_of(width))), "{lens:?} / {width}");
    lens[0] > 0
}

/// Elements of a task: whole rows.
pub(crate) fn task(width: usize) -> usize {
    (TASK / width).max(1) * width
}

/// Computes yᵢ = exp(xᵢ) / Σ exp(xⱼ) for every row of x (rows, width).
///
/// # Panics
/// Panics where the lengths of x and y differ or are not whole rows, or the processor lacks the form.
pub fn softmax_forward<T: Real>(form: Form, x: &[T], width: usize, y: &mut [T]) {
    if !check(width, &[x.len(), y.len()]) {
        return;
    }
    if let (true, Some(x)) = (form != Form::Naive, T::as_f32(x)) {
        let Some(y) = T::as_f32_mut(y) else { return };
        let tasks = y.par_chunks_mut(task(width)).zip(x.par_chunks(task(width)));
        return tasks.for_each(|(y, x)| form.run(Forward { x, width, y }));
    }
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let most = x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.to_f64()));
        let sum: f64 = x.iter().map(|v| (v.to_f64() - most).exp()).sum();
        y.iter_mut().zip(x).for_each(|(y, x)| *y = T::from_f64((x.to_f64() - most).exp() / sum));
    }
}

/// Computes the gradient of x from the output y of [`softmax_forward`] and its gradient: dx = y·(gy − Σ gy·y).
///
/// # Panics
/// As [`softmax_forward`].
pub fn softmax_backward<T: Real>(form: Form, y: &[T], gy: &[T], width: usize, dx: &mut [T]) {
    if !check(width, &[y.len(), gy.len(), dx.len()]) {
        return;
    }
    if let (true, Some(y), Some(gy)) = (form != Form::Naive, T::as_f32(y), T::as_f32(gy)) {
        let (task, Some(dx)) = (task(width), T::as_f32_mut(dx)) else { return };
        let tasks = dx.par_chunks_mut(task).zip(y.par_chunks(task).zip(gy.par_chunks(task)));
        return tasks.for_each(|(dx, (y, gy))| form.run(Backward { y, gy, width, dx }));
    }
    for ((y, g), dx) in y.chunks_exact(width).zip(gy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let pairs = || y.iter().zip(g).map(|(y, g)| (y.to_f64(), g.to_f64()));
        let sum: f64 = pairs().map(|(y, g)| g * y).sum();
        dx.iter_mut().zip(pairs()).for_each(|(dx, (y, g))| *dx = T::from_f64(y * (g - sum)));
    }
}

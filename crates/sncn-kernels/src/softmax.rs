//! softmax and its logarithm over the rows of (rows, width), and their gradients.
//!
//! A row's largest value is taken off first, so that large values do not overflow; −∞ has the probability 0. A row of
//! nothing but −∞, or with +∞ or NaN, is NaN.

use crate::lanes::{self, SPAN, TASK};
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use rayon::prelude::*;

/// What is computed of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Softmax {
    /// yᵢ = exp(xᵢ) / Σ exp(xⱼ).
    Plain,
    /// The logarithm of that.
    Log,
}

struct Forward<'a> {
    kind: Softmax,
    x: &'a [f32],
    width: usize,
    y: &'a mut [f32],
}

/// Writes exp(xᵢ − max) to `out`, where there is one, and returns the maximum and the sum.
///
/// # Safety
/// The processor must have the instructions of `V`; `x` and `out` must be valid for `width` elements.
#[inline(always)]
pub(crate) unsafe fn exponentials<V: Vector>(x: *const f32, width: usize, dead: V, out: Option<*mut f32>) -> (f32, f32) {
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
                if let Some(out) = out {
                    lanes::store(e, out, at, width);
                }
                sum = sum.add(e);
                at += V::LANES;
            }
            total += f64::from(lanes::sum(sum));
        }
        (most, total as f32)
    }
}

/// Writes share·exp(xᵢ − max) / Σ to `out`, and returns the maximum and the sum; `out` may not be `x`.
///
/// # Safety
/// As [`exponentials`].
#[inline(always)]
pub(crate) unsafe fn shares<V: Vector>(x: *const f32, width: usize, dead: V, out: *mut f32, share: f32) -> (f32, f32) {
    // SAFETY: every index is below `width`; the caller vouches for the rest.
    unsafe {
        if width <= V::LANES {
            return short::<V, 1>(x, width, dead, out, share);
        }
        if width <= 2 * V::LANES {
            return short::<V, 2>(x, width, dead, out, share);
        }
        let (most, sum) = exponentials(x, width, dead, Some(out));
        let scale = V::splat(share / sum);
        for i in (0..width).step_by(V::LANES) {
            lanes::store(lanes::load(out, i, width, dead).mul(scale), out, i, width);
        }
        (most, sum)
    }
}

/// [`shares`] of a row that fits `NV` vectors, which stay in registers.
#[inline(always)]
unsafe fn short<V: Vector, const NV: usize>(x: *const f32, width: usize, dead: V, out: *mut f32, share: f32) -> (f32, f32) {
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
        let scale = V::splat(share / sum);
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
                let (x, y) = (x.as_ptr(), y.as_mut_ptr());
                match self.kind {
                    Softmax::Plain => {
                        shares(x, width, dead, y, 1.);
                    }
                    Softmax::Log => {
                        let (most, sum) = exponentials(x, width, dead, None);
                        let (most, rest) = (V::splat(most), V::splat(sum.ln()));
                        for i in (0..width).step_by(V::LANES) {
                            lanes::store(lanes::load(x, i, width, dead).sub(most).sub(rest), y, i, width);
                        }
                    }
                }
            }
        }
    }
}

struct Backward<'a> {
    kind: Softmax,
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
                        sum = match self.kind {
                            Softmax::Plain => g.fma(lanes::load(y, at, width, none), sum),
                            Softmax::Log => g.add(sum),
                        };
                        at += V::LANES;
                    }
                    total += f64::from(lanes::sum(sum));
                }
                let total = V::splat(total as f32);
                for i in (0..width).step_by(V::LANES) {
                    let (y, g) = (lanes::load(y, i, width, none), lanes::load(g, i, width, none));
                    let d = match self.kind {
                        Softmax::Plain => y.mul(g.sub(total)),
                        Softmax::Log => g.sub(lanes::exp(y).mul(total)),
                    };
                    lanes::store(d, dx, i, width);
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

/// y from x, both (rows, width).
///
/// # Panics
/// Where lengths do not fit or the processor lacks the form, here and below.
pub fn softmax_forward(form: Form, kind: Softmax, x: &[f32], width: usize, y: &mut [f32]) {
    if check(width, &[x.len(), y.len()]) {
        y.par_chunks_mut(task(width)).zip(x.par_chunks(task(width))).for_each(|(y, x)| match form {
            Form::Naive => softmax_forward_naive(kind, x, width, y),
            _ => form.run(Forward { kind, x, width, y }),
        });
    }
}

/// dx from the output y and its gradient: y·(gy − Σ gy·y), or gy − exp(y)·Σ gy for the logarithm.
pub fn softmax_backward(form: Form, kind: Softmax, y: &[f32], gy: &[f32], width: usize, dx: &mut [f32]) {
    if check(width, &[y.len(), gy.len(), dx.len()]) {
        let task = task(width);
        dx.par_chunks_mut(task).zip(y.par_chunks(task).zip(gy.par_chunks(task))).for_each(|(dx, (y, gy))| match form {
            Form::Naive => softmax_backward_naive(kind, y, gy, width, dx),
            _ => form.run(Backward { kind, y, gy, width, dx }),
        });
    }
}

/// [`softmax_forward`] as plain loops, for any element.
pub fn softmax_forward_naive<T: Real>(kind: Softmax, x: &[T], width: usize, y: &mut [T]) {
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let most = x.iter().fold(f64::NEG_INFINITY, |m, v| m.max(v.to_f64()));
        let sum: f64 = x.iter().map(|v| (v.to_f64() - most).exp()).sum();
        for (y, x) in y.iter_mut().zip(x) {
            let x = x.to_f64() - most;
            *y = T::from_f64(if kind == Softmax::Log { x - sum.ln() } else { x.exp() / sum });
        }
    }
}

/// [`softmax_backward`] as plain loops, for any element.
pub fn softmax_backward_naive<T: Real>(kind: Softmax, y: &[T], gy: &[T], width: usize, dx: &mut [T]) {
    for ((y, g), dx) in y.chunks_exact(width).zip(gy.chunks_exact(width)).zip(dx.chunks_exact_mut(width)) {
        let pairs = || y.iter().zip(g).map(|(y, g)| (y.to_f64(), g.to_f64()));
        let sum: f64 = pairs().map(|(y, g)| if kind == Softmax::Log { g } else { g * y }).sum();
        for (dx, (y, g)) in dx.iter_mut().zip(pairs()) {
            *dx = T::from_f64(if kind == Softmax::Log { g - y.exp() * sum } else { y * (g - sum) });
        }
    }
}

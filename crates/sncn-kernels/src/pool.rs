//! Channels-last max, average and global average pooling (floor mode), forward and backward.
//!
//! f32 runs over vectors of channels ([`vectors`]); the generic loops serve every other element.

pub mod vectors;

use crate::real::Real;
use crate::simd::Form;
use rayon::prelude::*;

/// Extents of a pool over (n, h, w, c) with square windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PoolShape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl PoolShape {
    /// Output height and width; the window must fit the padded input.
    pub fn output(&self) -> (usize, usize) {
        let size = |x: usize| (x + 2 * self.padding - self.kernel) / self.stride + 1;
        (size(self.h), size(self.w))
    }

    fn sizes(&self) -> (usize, usize) {
        let (h, w) = self.output();
        ((self.h * self.w * self.c).max(1), (h * w * self.c).max(1))
    }

    /// Calls `visit(output position, input position)`, row-major, for every pair inside the image.
    fn each(&self, mut visit: impl FnMut(usize, usize)) {
        let (ho, wo) = self.output();
        for p in 0..ho * wo {
            for t in 0..self.kernel * self.kernel {
                let y = (p / wo * self.stride + t / self.kernel).wrapping_sub(self.padding);
                let x = (p % wo * self.stride + t % self.kernel).wrapping_sub(self.padding);
                if y < self.h && x < self.w {
                    visit(p, y * self.w + x);
                }
            }
        }
    }
}

/// Maxima and, per output element, the position `y·w + x` of the first maximum of its window (padding is −∞; NaN wins).
pub fn max_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T], argmax: &mut [u32]) {
    match (T::single(x), T::single_mut(out)) {
        (Some(x), Some(out)) => vectors::max_pool_forward(Form::current(), x, s, out, argmax),
        _ => max_pool_forward_generic(x, s, out, argmax),
    }
}

/// [`max_pool_forward`] as plain loops, for any element.
pub fn max_pool_forward_generic<T: Real>(x: &[T], s: &PoolShape, out: &mut [T], argmax: &mut [u32]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let out = out.par_chunks_mut(size_out).zip(argmax.par_chunks_mut(size_out));
    out.zip(x.par_chunks(size_in)).for_each(|((out, argmax), x)| {
        out.fill(T::LOWEST);
        argmax.fill(u32::MAX);
        s.each(|p, q| {
            let cells = out[p * c..(p + 1) * c].iter_mut().zip(&mut argmax[p * c..(p + 1) * c]);
            for ((best, at), &v) in cells.zip(&x[q * c..(q + 1) * c]) {
                if *at == u32::MAX || v > *best || v.double().is_nan() {
                    (*best, *at) = (v, q as u32);
                }
            }
        });
    });
}

/// `dx`: each output's gradient goes to the position in `argmax`, which is what [`max_pool_forward`] wrote.
pub fn max_pool_backward<T: Real>(gy: &[T], argmax: &[u32], s: &PoolShape, dx: &mut [T]) {
    match (T::single(gy), T::single_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::max_pool_backward(Form::current(), gy, argmax, s, dx),
        _ => max_pool_backward_generic(gy, argmax, s, dx),
    }
}

/// [`max_pool_backward`] as plain loops, for any element.
pub fn max_pool_backward_generic<T: Real>(gy: &[T], argmax: &[u32], s: &PoolShape, dx: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let gy = gy.par_chunks(size_out).zip(argmax.par_chunks(size_out));
    dx.par_chunks_mut(size_in).zip(gy).for_each(|(dx, (gy, argmax))| {
        dx.fill(T::ZERO);
        for (i, (&g, &at)) in gy.iter().zip(argmax).enumerate() {
            dx[at as usize * c + i % c] += g;
        }
    });
}

/// Means of the windows (padding 0 only: every window lies inside).
pub fn avg_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T]) {
    match (T::single(x), T::single_mut(out)) {
        (Some(x), Some(out)) => vectors::avg_pool_forward(Form::current(), x, s, out),
        _ => avg_pool_forward_generic(x, s, out),
    }
}

/// [`avg_pool_forward`] as plain loops, for any element.
pub fn avg_pool_forward_generic<T: Real>(x: &[T], s: &PoolShape, out: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let scale = T::real(1.0 / (s.kernel * s.kernel) as f64);
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each(|(out, x)| {
        out.fill(T::ZERO);
        s.each(|p, q| add(&mut out[p * c..(p + 1) * c], &x[q * c..(q + 1) * c], T::ONE));
        out.iter_mut().for_each(|v| *v = *v * scale);
    });
}

/// Gradient of [`avg_pool_forward`].
pub fn avg_pool_backward<T: Real>(gy: &[T], s: &PoolShape, dx: &mut [T]) {
    match (T::single(gy), T::single_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::avg_pool_backward(Form::current(), gy, s, dx),
        _ => avg_pool_backward_generic(gy, s, dx),
    }
}

/// [`avg_pool_backward`] as plain loops, for any element.
pub fn avg_pool_backward_generic<T: Real>(gy: &[T], s: &PoolShape, dx: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let scale = T::real(1.0 / (s.kernel * s.kernel) as f64);
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each(|(dx, gy)| {
        dx.fill(T::ZERO);
        s.each(|p, q| add(&mut dx[q * c..(q + 1) * c], &gy[p * c..(p + 1) * c], scale));
    });
}

fn add<T: Real>(to: &mut [T], from: &[T], scale: T) {
    to.iter_mut().zip(from).for_each(|(t, &f)| *t += f * scale);
}

/// `out` (n, c) = means of `x` (n, positions, c), accumulated in double precision.
pub fn global_avg_forward<T: Real>(x: &[T], positions: usize, c: usize, out: &mut [T]) {
    match (T::single(x), T::single_mut(out)) {
        (Some(x), Some(out)) => vectors::global_avg_forward(Form::current(), x, positions, c, out),
        _ => global_avg_forward_generic(x, positions, c, out),
    }
}

/// [`global_avg_forward`] as plain loops, for any element.
pub fn global_avg_forward_generic<T: Real>(x: &[T], positions: usize, c: usize, out: &mut [T]) {
    out.par_chunks_mut(c.max(1)).zip(x.par_chunks((positions * c).max(1))).for_each(|(out, x)| {
        let mut sums = vec![0f64; c];
        x.chunks_exact(c).for_each(|row| sums.iter_mut().zip(row).for_each(|(s, &v)| *s += v.double()));
        out.iter_mut().zip(sums).for_each(|(o, s)| *o = T::real(s / positions as f64));
    });
}

/// Gradient of [`global_avg_forward`].
pub fn global_avg_backward<T: Real>(gy: &[T], positions: usize, c: usize, dx: &mut [T]) {
    match (T::single(gy), T::single_mut(dx)) {
        (Some(gy), Some(dx)) => vectors::global_avg_backward(Form::current(), gy, positions, c, dx),
        _ => global_avg_backward_generic(gy, positions, c, dx),
    }
}

/// [`global_avg_backward`] as plain loops, for any element.
pub fn global_avg_backward_generic<T: Real>(gy: &[T], positions: usize, c: usize, dx: &mut [T]) {
    let scale = T::real(1.0 / positions as f64);
    dx.par_chunks_mut((positions * c).max(1)).zip(gy.par_chunks(c.max(1))).for_each(|(dx, gy)| {
        dx.chunks_exact_mut(c).for_each(|row| row.iter_mut().zip(gy).for_each(|(d, &g)| *d = g * scale));
    });
}

//! Pooling as plain loops, for any element type: the reference implementation.

use super::shape::PoolShape;
use crate::real::Real;
use rayon::prelude::*;

/// [`super::max_pool_forward`] as plain loops.
pub(super) fn max_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T], argmax: &mut [u32]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let out = out.par_chunks_mut(size_out).zip(argmax.par_chunks_mut(size_out));
    out.zip(x.par_chunks(size_in)).for_each(|((out, argmax), x)| {
        out.fill(T::LOWEST);
        argmax.fill(u32::MAX);
        s.each(|p, q| {
            let cells = out[p * c..(p + 1) * c].iter_mut().zip(&mut argmax[p * c..(p + 1) * c]);
            for ((best, at), &v) in cells.zip(&x[q * c..(q + 1) * c]) {
                if *at == u32::MAX || v > *best || v.to_f64().is_nan() {
                    (*best, *at) = (v, q as u32);
                }
            }
        });
    });
}

/// [`super::max_pool_backward`] as plain loops.
pub(super) fn max_pool_backward<T: Real>(gy: &[T], argmax: &[u32], s: &PoolShape, dx: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let gy = gy.par_chunks(size_out).zip(argmax.par_chunks(size_out));
    dx.par_chunks_mut(size_in).zip(gy).for_each(|(dx, (gy, argmax))| {
        dx.fill(T::ZERO);
        for (i, (&g, &at)) in gy.iter().zip(argmax).enumerate() {
            dx[at as usize * c + i % c] += g;
        }
    });
}

/// [`super::avg_pool_forward`] as plain loops.
pub(super) fn avg_pool_forward<T: Real>(x: &[T], s: &PoolShape, out: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let scale = T::from_f64(1.0 / (s.kernel * s.kernel) as f64);
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each(|(out, x)| {
        out.fill(T::ZERO);
        s.each(|p, q| add(&mut out[p * c..(p + 1) * c], &x[q * c..(q + 1) * c], T::ONE));
        out.iter_mut().for_each(|v| *v = *v * scale);
    });
}

/// [`super::avg_pool_backward`] as plain loops.
pub(super) fn avg_pool_backward<T: Real>(gy: &[T], s: &PoolShape, dx: &mut [T]) {
    let ((size_in, size_out), c) = (s.sizes(), s.c);
    let scale = T::from_f64(1.0 / (s.kernel * s.kernel) as f64);
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each(|(dx, gy)| {
        dx.fill(T::ZERO);
        s.each(|p, q| add(&mut dx[q * c..(q + 1) * c], &gy[p * c..(p + 1) * c], scale));
    });
}

/// [`super::global_avg_forward`] as plain loops.
pub(super) fn global_avg_forward<T: Real>(x: &[T], positions: usize, c: usize, out: &mut [T]) {
    out.par_chunks_mut(c.max(1)).zip(x.par_chunks((positions * c).max(1))).for_each(|(out, x)| {
        let mut sums = vec![0f64; c];
        x.chunks_exact(c).for_each(|row| sums.iter_mut().zip(row).for_each(|(s, &v)| *s += v.to_f64()));
        out.iter_mut().zip(sums).for_each(|(o, s)| *o = T::from_f64(s / positions as f64));
    });
}

/// [`super::global_avg_backward`] as plain loops.
pub(super) fn global_avg_backward<T: Real>(gy: &[T], positions: usize, c: usize, dx: &mut [T]) {
    let scale = T::from_f64(1.0 / positions as f64);
    dx.par_chunks_mut((positions * c).max(1)).zip(gy.par_chunks(c.max(1))).for_each(|(dx, gy)| {
        dx.chunks_exact_mut(c).for_each(|row| row.iter_mut().zip(gy).for_each(|(d, &g)| *d = g * scale));
    });
}

fn add<T: Real>(to: &mut [T], from: &[T], scale: T) {
    to.iter_mut().zip(from).for_each(|(t, &f)| *t += f * scale);
}

//! Layer normalisation of the rows of (rows, width): y = γ·(x − μ)/√(σ² + ε) + β with the mean and biased variance of each row.
//!
//! The mean is saved rounded to f32; the rounding error is computed again from the row, so that a mean that is large relative to the
//! standard deviation does not cancel. dγ and dβ sum 8 fixed parts of the rows in order.

use crate::lanes::{self, SPAN};
use crate::parts::PARTS;
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use crate::softmax::task;
use rayon::prelude::*;

/// Rows whose part of dγ and dβ is summed in f32.
const ROWS: usize = 32;

/// Sums over a row of d = x − centre: Σ d, Σ d², and given g·γ, Σ g·γ, Σ g·γ·d.
///
/// # Safety
/// The processor must have the instructions of `V`; pointers must be valid for `width` elements.
#[inline(always)]
unsafe fn sums<V: Vector>(x: *const f32, centre: f32, width: usize, g: Option<(*const f32, *const f32)>) -> [f64; 4] {
    // SAFETY: every index is below `width`; what stands in the dead lanes is the centre, or 0 in g.
    unsafe {
        let (none, fill, centre) = (V::splat(0.), lanes::tail::<V>(width, centre), V::splat(centre));
        let (mut totals, mut at) = ([0f64; 4], 0);
        while at < width {
            let (mut sums, stop) = ([none; 4], width.min(at + SPAN * V::LANES));
            while at < stop {
                let d = lanes::load(x, at, width, fill).sub(centre);
                sums[0] = sums[0].add(d);
                match g {
                    None => sums[1] = d.fma(d, sums[1]),
                    Some((g, gamma)) => {
                        let g = lanes::load(g, at, width, none).mul(lanes::load(gamma, at, width, none));
                        sums[2] = sums[2].add(g);
                        sums[3] = g.fma(d, sums[3]);
                    }
                }
                at += V::LANES;
            }
            let used = if g.is_none() { 0..2 } else { 0..4 };
            for i in used.filter(|&i| g.is_none() || i != 1) {
                totals[i] += f64::from(lanes::sum(sums[i]));
            }
        }
        totals
    }
}

/// Approximately the mean.
///
/// # Safety
/// As [`sums`].
#[inline(always)]
unsafe fn rough<V: Vector>(x: *const f32, width: usize) -> f32 {
    // SAFETY: every index is below `width`.
    unsafe {
        let mut sum = V::splat(0.);
        for i in (0..width).step_by(V::LANES) {
            sum = lanes::load(x, i, width, V::splat(0.)).add(sum);
        }
        lanes::sum(sum) / width as f32
    }
}

struct Forward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    eps: f64,
    y: &'a mut [f32],
    mean: &'a mut [f32],
    inverse: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let width = self.gamma.len();
        let rows = self.x.chunks_exact(width).zip(self.y.chunks_exact_mut(width)).zip(self.mean.iter_mut().zip(self.inverse));
        for ((x, y), (mean, inverse)) in rows {
            let (x, y) = (x.as_ptr(), y.as_mut_ptr());
            // SAFETY: every index is below `width`; `Form::run` checked the processor.
            unsafe {
                // any value near the mean will do as a centre
                let rough = rough::<V>(x, width);
                let [one, two, ..] = sums::<V>(x, rough, width, None);
                let shift = one / width as f64;
                let scale = 1. / (two / width as f64 - shift * shift + self.eps).sqrt();
                (*mean, *inverse) = ((f64::from(rough) + shift) as f32, scale as f32);
                let rest = f64::from(rough) + shift - f64::from(*mean);
                let (none, mean, scale, rest) =
                    (V::splat(0.), V::splat(*mean), V::splat(*inverse), V::splat((-rest * scale) as f32));
                for i in (0..width).step_by(V::LANES) {
                    let unit = lanes::load(x, i, width, none).sub(mean).fma(scale, rest);
                    let (gamma, beta) =
                        (lanes::load(self.gamma.as_ptr(), i, width, none), lanes::load(self.beta.as_ptr(), i, width, none));
                    lanes::store(unit.fma(gamma, beta), y, i, width);
                }
            }
        }
    }
}

/// Writes dx and adds to `tables`: dγ, then dβ.
struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    mean: &'a [f32],
    inverse: &'a [f32],
    gy: &'a [f32],
    dx: &'a mut [f32],
    tables: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (width, gamma) = (self.gamma.len(), self.gamma.as_ptr());
        let (for_gamma, for_beta) = self.tables.split_at_mut(width);
        let (for_gamma, for_beta) = (for_gamma.as_mut_ptr(), for_beta.as_mut_ptr());
        let rows = self.x.chunks_exact(width).zip(self.gy.chunks_exact(width)).zip(self.dx.chunks_exact_mut(width));
        for (((x, g), dx), (&mean, &inverse)) in rows.zip(self.mean.iter().zip(self.inverse)) {
            let (x, g, dx) = (x.as_ptr(), g.as_ptr(), dx.as_mut_ptr());
            // SAFETY: every index is below `width`; `Form::run` checked the processor.
            unsafe {
                let [rest, _, sum, product] = sums::<V>(x, mean, width, Some((g, gamma))).map(|sum| sum / width as f64);
                let scale = f64::from(inverse);
                // x̂ = (x − mean)·scale + offset; dx = scale·(g·γ − sum − x̂·along)
                let along = (product - rest * sum) * scale;
                let (none, mean, offset) = (V::splat(0.), V::splat(mean), V::splat((-rest * scale) as f32));
                let (scale, sum, along) = (V::splat(inverse), V::splat(-sum as f32), V::splat(-along as f32));
                for i in (0..width).step_by(V::LANES) {
                    let unit = lanes::load(x, i, width, none).sub(mean).fma(scale, offset);
                    let g = lanes::load(g, i, width, none);
                    let d = g.fma(lanes::load(gamma, i, width, none), unit.fma(along, sum));
                    lanes::store(d.mul(scale), dx, i, width);
                    lanes::store(g.fma(unit, lanes::load(for_gamma, i, width, none)), for_gamma, i, width);
                    lanes::store(g.add(lanes::load(for_beta, i, width, none)), for_beta, i, width);
                }
            }
        }
    }
}

fn check(width: usize, maps: &[usize], tables: &[usize], rows: &[usize]) -> bool {
    let len = rows[0] * width;
    assert!(
        maps.iter().all(|&map| map == len) && tables.iter().all(|&t| t == width) && rows.iter().all(|&r| r == rows[0]),
        "layer norm: maps {maps:?}, tables {tables:?}, rows {rows:?}, width {width}"
    );
    len > 0
}

/// Computes y (rows, width) from x, and saves each row's mean and 1/√(σ² + ε).
///
/// # Panics
/// Panics where the lengths do not fit (`gamma` and `beta` have a value a column, `mean` and `inverse` one a row), or the processor
/// lacks the form.
#[allow(clippy::too_many_arguments, reason = "a form, the input, two parameters, ε, and what is saved for the gradient")]
pub fn layer_norm_forward<T: Real>(
    form: Form,
    x: &[T],
    gamma: &[T],
    beta: &[T],
    eps: f64,
    y: &mut [T],
    mean: &mut [T],
    inverse: &mut [T],
) {
    let width = gamma.len();
    if !check(width, &[x.len(), y.len()], &[beta.len()], &[mean.len(), inverse.len()]) {
        return;
    }
    if let (true, Some(x), Some(gamma), Some(beta)) = (form != Form::Naive, T::as_f32(x), T::as_f32(gamma), T::as_f32(beta)) {
        let (Some(y), Some(mean), Some(inverse)) = (T::as_f32_mut(y), T::as_f32_mut(mean), T::as_f32_mut(inverse)) else {
            return;
        };
        let (task, rows) = (task(width), task(width) / width);
        let saved = mean.par_chunks_mut(rows).zip(inverse.par_chunks_mut(rows));
        let tasks = y.par_chunks_mut(task).zip(x.par_chunks(task)).zip(saved);
        return tasks.for_each(|((y, x), (mean, inverse))| form.run(Forward { x, gamma, beta, eps, y, mean, inverse }));
    }
    for (r, (mean, inverse)) in mean.iter_mut().zip(inverse).enumerate() {
        let at = r * width..(r + 1) * width;
        let centre = x[at.clone()].iter().map(|x| x.to_f64()).sum::<f64>() / width as f64;
        let squares: f64 = x[at.clone()].iter().map(|x| (x.to_f64() - centre) * (x.to_f64() - centre)).sum();
        let scale = 1. / (squares / width as f64 + eps).sqrt();
        (*mean, *inverse) = (T::from_f64(centre), T::from_f64(scale));
        for (c, (y, x)) in y[at.clone()].iter_mut().zip(&x[at]).enumerate() {
            *y = T::from_f64(gamma[c].to_f64() * (x.to_f64() - centre) * scale + beta[c].to_f64());
        }
    }
}

/// Computes dx, dγ and dβ from x, what [`layer_norm_forward`] saved, and the gradient of y.
///
/// # Panics
/// As [`layer_norm_forward`].
#[allow(clippy::too_many_arguments, reason = "a form, what was saved, and three gradients")]
pub fn layer_norm_backward<T: Real>(
    form: Form,
    x: &[T],
    gamma: &[T],
    mean: &[T],
    inverse: &[T],
    gy: &[T],
    dx: &mut [T],
    dgamma: &mut [T],
    dbeta: &mut [T],
) {
    let width = gamma.len();
    let any = check(width, &[x.len(), gy.len(), dx.len()], &[dgamma.len(), dbeta.len()], &[mean.len(), inverse.len()]);
    let inputs = [x, gamma, mean, inverse, gy].map(T::as_f32);
    if let (true, [Some(x), Some(gamma), Some(mean), Some(inverse), Some(gy)]) = (any && form != Form::Naive, inputs) {
        let (Some(dx), Some(dgamma), Some(dbeta)) = (T::as_f32_mut(dx), T::as_f32_mut(dgamma), T::as_f32_mut(dbeta)) else {
            return;
        };
        return backward(form, [x, gamma, mean, inverse, gy], dx, dgamma, dbeta);
    }
    let (mut for_gamma, mut for_beta) = (vec![0f64; width], vec![0f64; width]);
    for r in 0..mean.len() {
        let at = r * width..(r + 1) * width;
        let (x, gy, scale) = (&x[at.clone()], &gy[at.clone()], inverse[r].to_f64());
        let away = |x: &T| x.to_f64() - mean[r].to_f64();
        let rest = x.iter().map(away).sum::<f64>() / width as f64;
        let unit: Vec<f64> = x.iter().map(|x| (away(x) - rest) * scale).collect();
        let g: Vec<f64> = gy.iter().zip(gamma).map(|(g, gamma)| g.to_f64() * gamma.to_f64()).collect();
        let sum = g.iter().sum::<f64>() / width as f64;
        let along = g.iter().zip(&unit).map(|(g, unit)| g * unit).sum::<f64>() / width as f64;
        for (c, dx) in dx[at].iter_mut().enumerate() {
            *dx = T::from_f64(scale * (g[c] - sum - unit[c] * along));
            for_gamma[c] += gy[c].to_f64() * unit[c];
            for_beta[c] += gy[c].to_f64();
        }
    }
    dgamma.iter_mut().zip(for_gamma).for_each(|(d, s)| *d = T::from_f64(s));
    dbeta.iter_mut().zip(for_beta).for_each(|(d, s)| *d = T::from_f64(s));
}

/// The gradients of rows that are not empty, over vectors.
fn backward(form: Form, [x, gamma, mean, inverse, gy]: [&[f32]; 5], dx: &mut [f32], dgamma: &mut [f32], dbeta: &mut [f32]) {
    let (width, rows) = (gamma.len(), mean.len());
    let mut parts = vec![0f64; PARTS * 2 * width];
    let per = rows.div_ceil(PARTS);
    let tasks = dx.par_chunks_mut(per * width).zip(parts.par_chunks_exact_mut(2 * width)).enumerate();
    tasks.for_each(|(p, (dx, total))| {
        let mut tables = vec![0f32; 2 * width];
        for (block, dx) in dx.chunks_mut(ROWS * width).enumerate() {
            let first = p * per + block * ROWS;
            let (row, at) = (first..first + dx.len() / width, first * width..first * width + dx.len());
            let (x, gy, mean, inverse) = (&x[at.clone()], &gy[at], &mean[row.clone()], &inverse[row]);
            tables.fill(0.);
            form.run(Backward { x, gamma, mean, inverse, gy, dx, tables: &mut tables });
            total.iter_mut().zip(&tables).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    });
    for (c, (dgamma, dbeta)) in dgamma.iter_mut().zip(dbeta).enumerate() {
        let sum = |c: usize| parts.chunks_exact(2 * width).map(|part| part[c]).sum::<f64>() as f32;
        (*dgamma, *dbeta) = (sum(c), sum(width + c));
    }
}

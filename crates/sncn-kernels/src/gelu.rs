//! GELU (Hendrycks, Gimpel 2016), x·Φ(x) with Φ the distribution function of the normal distribution, its approximation
//! x·σ(1.702·x), and their gradients.
//!
//! Over vectors Φ is formula 7.1.26 of Abramowitz and Stegun; with rounding its error is below 1e-6.

use crate::lanes::{self, TASK};
use crate::real::Real;
use crate::simd::{Form, Kernel, Vector};
use rayon::prelude::*;

/// GELU, or its sigmoid approximation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gelu {
    /// GELU, x·Φ(x) with Φ(x) = ½·(1 + erf(x/√2)); candle's `gelu_erf`.
    Erf,
    /// Quick GELU, x·σ(1.702·x).
    Quick,
}

/// Φ(x), or σ(1.702·x), and the derivative of that.
///
/// # Safety
/// The processor must have the instructions of `V`.
#[inline(always)]
pub(crate) unsafe fn gate<V: Vector>(kind: Gelu, x: V) -> (V, V) {
    /// 0.3275911 / √2, for x instead of x/√2.
    const STEP: f32 = 0.231_641_9;
    /// Halves of the five coefficients, the last first.
    const SERIES: [f32; 5] = [0.530_702_7, -0.726_576, 0.710_706_9, -0.142_248_37, 0.127_414_8];
    /// 1 / √(2π).
    const PEAK: f32 = 0.398_942_3;
    // SAFETY: arithmetic only; the caller vouches for the processor.
    unsafe {
        let (none, one) = (V::splat(0.), V::splat(1.));
        let size = x.max(none.sub(x));
        match kind {
            Gelu::Erf => {
                let bell = lanes::exp(x.mul(x).mul(V::splat(-0.5)));
                let t = one.div(size.fma(V::splat(STEP), one));
                let mut series = V::splat(SERIES[0]);
                for &c in &SERIES[1..] {
                    series = series.fma(t, V::splat(c));
                }
                // Φ(−|x|); Φ(x) = 1 − Φ(−x)
                let low = series.mul(t).mul(bell);
                (low.add(one.sub(low).sub(low).where_positive(x)), bell.mul(V::splat(PEAK)))
            }
            Gelu::Quick => {
                let e = lanes::exp(size.mul(V::splat(-1.702)));
                let high = one.div(one.add(e));
                let low = e.mul(high);
                (low.add(high.sub(low).where_positive(x)), low.mul(high).mul(V::splat(1.702)))
            }
        }
    }
}

/// out = x·gate; with g, out = g·(gate + x·gate′).
struct Run<'a> {
    kind: Gelu,
    x: &'a [f32],
    g: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl Kernel for Run<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let (len, out) = (self.x.len(), self.out.as_mut_ptr());
        // SAFETY: all slices have the length of x; `Form::run` checked the processor.
        unsafe {
            let none = V::splat(0.);
            for i in (0..len).step_by(V::LANES) {
                let x = lanes::load(self.x.as_ptr(), i, len, none);
                let (value, slope) = gate(self.kind, x);
                let y = match self.g {
                    None => x.mul(value),
                    Some(g) => lanes::load(g.as_ptr(), i, len, none).mul(x.fma(slope, value)),
                };
                lanes::store(y, out, i, len);
            }
        }
    }
}

fn run<T: Real>(form: Form, kind: Gelu, x: &[T], g: Option<&[T]>, out: &mut [T]) {
    assert!(x.len() == out.len() && g.is_none_or(|g| g.len() == x.len()), "gelu: lengths differ");
    if let (true, Some(x)) = (form != Form::Naive, T::as_f32(x)) {
        let (g, Some(out)) = (g.and_then(T::as_f32), T::as_f32_mut(out)) else { return };
        return out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).enumerate().for_each(|(n, (out, x))| {
            let g = g.map(|g| &g[n * TASK..n * TASK + x.len()]);
            form.run(Run { kind, x, g, out });
        });
    }
    for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
        let (value, slope) = gate_naive(kind, x.to_f64());
        *out = T::from_f64(match g {
            None => x.to_f64() * value,
            Some(g) => g[i].to_f64() * (value + x.to_f64() * slope),
        });
    }
}

/// Computes y = gelu(x) elementwise.
///
/// # Panics
/// Panics where the lengths differ, or the processor lacks the form.
pub fn gelu_forward<T: Real>(form: Form, kind: Gelu, x: &[T], y: &mut [T]) {
    run(form, kind, x, None, y);
}

/// Computes the gradient dx = gy·gelu′(x).
///
/// # Panics
/// As [`gelu_forward`].
pub fn gelu_backward<T: Real>(form: Form, kind: Gelu, x: &[T], gy: &[T], dx: &mut [T]) {
    run(form, kind, x, Some(gy), dx);
}

/// Computes the error function in double precision: by its series up to 3, by the continued fraction of its complement beyond.
pub fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size < 3. {
        // Σ 2ⁿ·x²ⁿ⁺¹ / (2n+1)!!, all of one sign
        let (mut term, mut sum, mut n) = (x, x, 0.);
        while f64::abs(term) > 1e-18 * f64::abs(sum) {
            n += 1.;
            term *= 2. * x * x / (2. * n + 1.);
            sum += term;
        }
        return sum * std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
    }
    if size.is_nan() || size > 6. {
        return if size.is_nan() { x } else { x.signum() };
    }
    let fraction = (1..=60).rev().fold(size, |f, k| size + f64::from(k) / 2. / f);
    x.signum() * (1. - (-x * x).exp() / fraction * 0.5 * std::f64::consts::FRAC_2_SQRT_PI)
}

/// [`gate`] in double precision.
pub(crate) fn gate_naive(kind: Gelu, x: f64) -> (f64, f64) {
    match kind {
        Gelu::Erf => {
            let bell = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
            (0.5 * (1. + erf(x * std::f64::consts::FRAC_1_SQRT_2)), bell)
        }
        Gelu::Quick => {
            let s = 1. / (1. + (-1.702 * x).exp());
            (s, 1.702 * s * (1. - s))
        }
    }
}

//! Rows of any width in vectors: whole ones, then the last few lanes; the exponential; sums and maxima over the lanes.

use crate::simd::Vector;

/// Vectors whose sum is formed in f32.
pub(crate) const SPAN: usize = 64;
/// Elements a task takes.
pub(crate) const TASK: usize = 1 << 14;

/// What [`load`] adds to the last, partial vector of a row of `width`: 0 where there is an element, `fill` elsewhere.
///
/// # Safety
/// The processor must have the instructions of `V`, here and below.
#[inline(always)]
pub(crate) unsafe fn tail<V: Vector>(width: usize, fill: f32) -> V {
    let lanes: [f32; 16] = std::array::from_fn(|i| if i < width % V::LANES { 0. } else { fill });
    // SAFETY: V::LANES is at most 16.
    unsafe { V::load(lanes.as_ptr()) }
}

/// The vector at element `i` of a row of `width`, filled up by its [`tail`].
///
/// # Safety
/// `p` must be valid for `width` elements, i less than `width`.
#[inline(always)]
pub(crate) unsafe fn load<V: Vector>(p: *const f32, i: usize, width: usize, tail: V) -> V {
    // SAFETY: the branches read elements i .. width at most.
    unsafe { if i + V::LANES <= width { V::load(p.add(i)) } else { V::load_part(p.add(i), width - i).add(tail) } }
}

/// As [`load`], to memory.
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub(crate) unsafe fn store<V: Vector>(v: V, p: *mut f32, i: usize, width: usize) {
    // SAFETY: the branches write elements i .. width at most.
    unsafe { if i + V::LANES <= width { v.store(p.add(i)) } else { v.store_part(p.add(i), width - i) } }
}

/// The sum of the lanes, in pairs.
///
/// # Safety
/// As [`tail`].
#[inline(always)]
pub(crate) unsafe fn sum<V: Vector>(v: V) -> f32 {
    let mut lanes = [0f32; 16];
    // SAFETY: V::LANES is at most 16.
    unsafe { v.store(lanes.as_mut_ptr()) };
    let mut half = V::LANES / 2;
    while half > 0 {
        (0..half).for_each(|i| lanes[i] += lanes[i + half]);
        half /= 2;
    }
    lanes[0]
}

/// The largest lane that is not NaN.
///
/// # Safety
/// As [`tail`].
#[inline(always)]
pub(crate) unsafe fn largest<V: Vector>(v: V) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    // SAFETY: V::LANES is at most 16.
    unsafe { v.store(lanes.as_mut_ptr()) };
    let mut half = V::LANES / 2;
    while half > 0 {
        (0..half).for_each(|i| lanes[i] = if lanes[i + half] > lanes[i] { lanes[i + half] } else { lanes[i] });
        half /= 2;
    }
    // a NaN that met no larger number is left over
    if lanes[0].is_nan() { f32::NEG_INFINITY } else { lanes[0] }
}

/// e to the power of x, for x up to 88, with a relative error of at most 2e-7; below −87.7 it is 0, and NaN stays NaN.
///
/// x = n·ln 2 + r with |r| ≤ ½·ln 2; eᵣ by its series to r⁷/7! (what is left out is below 6e-9).
///
/// # Safety
/// As [`tail`].
#[inline(always)]
pub(crate) unsafe fn exp<V: Vector>(x: V) -> V {
    /// 1.5·2²³: added and taken off again, it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts; the first has so few digits that its products with n are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const SERIES: [f32; 7] = [1. / 720., 1. / 120., 1. / 24., 1. / 6., 0.5, 1., 1.];
    // SAFETY: arithmetic only.
    unsafe {
        let x = x.max(V::splat(-88.));
        let n = x.fma(V::splat(std::f32::consts::LOG2_E), V::splat(ROUND)).sub(V::splat(ROUND));
        let r = n.fma(V::splat(-LN_2[1]), n.fma(V::splat(-LN_2[0]), x));
        let mut p = V::splat(1. / 5040.);
        for c in SERIES {
            p = p.fma(r, V::splat(c));
        }
        p.mul(n.power_of_two())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Form, Kernel};

    struct Exp<'a>(&'a mut [f32]);

    impl Kernel for Exp<'_> {
        unsafe fn run<V: Vector>(self) {
            let (p, len) = (self.0.as_mut_ptr(), self.0.len());
            for i in (0..len).step_by(V::LANES) {
                // SAFETY: i is less than the length; `Form::run` checked the processor.
                unsafe { store(exp(load::<V>(p, i, len, V::splat(0.))), p, i, len) }
            }
        }
    }

    #[test]
    fn exp_keeps_its_error() {
        let x: Vec<f32> = (0..400_001).map(|i| 88. - i as f32 * (175.3 / 400_000.)).collect();
        for form in Form::available() {
            let mut y = x.clone();
            form.run(Exp(&mut y));
            let error = x.iter().zip(&y).fold(0f64, |e, (&x, &y)| e.max((f64::from(y) / f64::from(x).exp() - 1.).abs()));
            println!("{form:?}: {error:.2e}");
            assert!(error < 2e-7, "{form:?}: {error:e}");
            let mut ends = [0., -0., f32::NEG_INFINITY, -1e30, -88., f32::NAN, 1e-30];
            form.run(Exp(&mut ends));
            assert_eq!((ends[0], ends[1], ends[2], ends[3], ends[4], ends[6]), (1., 1., 0., 0., 0., 1.), "{form:?}");
            assert!(ends[5].is_nan());
        }
    }
}

//! What the suites share.
#![allow(dead_code, reason = "each suite takes what it needs")]

use proptest::prelude::*;
use sncn_kernels::conv::ConvShape;

/// Uniform values in (−1, 1).
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

pub(crate) fn double(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| f64::from(v)).collect()
}

/// The largest difference, over the largest magnitude of `want` (and at least 1e-30); NaN must meet NaN.
pub(crate) fn error(got: &[f32], want: &[f64]) -> f64 {
    error64(&double(got), want)
}

/// The same of what is made from values below one in size, by sums that may cancel: less than a tenth is measured against a tenth.
pub(crate) fn unit_error(got: &[f32], want: &[f64]) -> f64 {
    error_by(0.1, &double(got), want)
}

/// As [`error`].
pub(crate) fn error64(got: &[f64], want: &[f64]) -> f64 {
    error_by(1e-30, got, want)
}

/// The same, over `floor` where that is larger: of sums that may cancel, the size of their terms.
pub(crate) fn error_by(floor: f64, got: &[f64], want: &[f64]) -> f64 {
    let scale = want.iter().fold(floor, |m, v| if v.is_finite() { m.max(v.abs()) } else { m });
    assert_eq!(got.len(), want.len());
    let pair = |m: f64, (&g, &w): (&f64, &f64)| match () {
        () if g.is_nan() && w.is_nan() || g == w => m,
        () if g.is_nan() || w.is_nan() => f64::INFINITY,
        () => m.max((g - w).abs()),
    };
    got.iter().zip(want).fold(0.0, pair) / scale
}

/// Checks that the derivative of `f` at `x` along each axis is `dx`.
pub(crate) fn gradient_check(x: &[f64], dx: &[f64], f: impl Fn(&[f64]) -> f64) {
    let h = 1e-5;
    for i in 0..x.len() {
        let at = |step: f64| {
            let mut x = x.to_vec();
            x[i] += step;
            f(&x)
        };
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert!((slope - dx[i]).abs() < 1e-6 * (1.0 + slope.abs()), "element {i}: {} against {slope}", dx[i]);
    }
}

/// Runs `f` on one, two and three threads and compares the bits.
pub(crate) fn threads_agree(f: impl Fn() -> Vec<f32> + Sync) {
    let bits = || f().into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(bits);
    let one = on(1);
    assert!(one == on(2) && one == on(3), "threads change the result");
}

prop_compose! {
    /// Convolutions of every kind.
    pub(crate) fn shapes()(groups in 1usize..4, stride in 1usize..4, dilation in 1usize..4, three in any::<bool>())
        (n in 0usize..4, ci in 1usize..22, co in 1usize..40, kh in 1usize..6, kw in 1usize..6, ph in 0usize..5, pw in 0usize..5,
         h in 1usize..14, w in 1usize..14, eh in 0usize..3, ew in 0usize..3, depthwise in 0usize..4, groups in Just(groups), stride in Just(stride), dilation in Just(dilation), three in Just(three))
        -> ConvShape {
        let (kh, kw, stride) = if three { (3, 3, 1) } else { (kh, kw, stride) };
        let (ci, co, groups) = if depthwise == 0 { (1, 1, ci * groups + 1) } else { (ci, co, groups) };
        ConvShape {
            n, h: h.max((dilation * (kh - 1) + 1).saturating_sub(2 * ph)), w: w.max((dilation * (kw - 1) + 1).saturating_sub(2 * pw)),
            c_in: ci * groups, c_out: co * groups, kh, kw, stride, padding: (ph, pw), extra: (eh, ew), dilation, groups,
        }
    }
}

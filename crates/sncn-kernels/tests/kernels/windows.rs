//! Pooling and resizing: every form against the plain loops in double precision.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, gradient_check, noise, threads_agree, unit_error};
use proptest::prelude::*;
use sncn_kernels::pool::{self, PoolShape};
use sncn_kernels::resize::{self, ResizeShape};
use sncn_kernels::simd::Form;

fn check_pool(s: &PoolShape, seed: u64) {
    let (ho, wo) = s.output();
    let (len, out) = (s.n * s.h * s.w * s.c, s.n * ho * wo * s.c);
    // few values, so that windows have equal maxima, and some that are not numbers
    let coarse = |v: &f32| match (v * 5.0).round() {
        4.0 => f32::NAN,
        -4.0 => f32::NEG_INFINITY,
        v => v,
    };
    let x: Vec<f32> = noise(len, seed).iter().map(coarse).collect();
    let (smooth, gy) = (&noise(len + 1, seed + 1)[1..], &noise(out + 1, seed + 2)[1..]);
    let gd = double(gy);
    let (mut y, mut at, mut dx) = (vec![9.0; out], vec![9u32; out], vec![9.0; len]);
    pool::max_pool_forward(Form::Naive, &double(&x), s, &mut y, &mut at);
    pool::max_pool_backward(Form::Naive, &gd, &at, s, &mut dx);
    let (mut mean, mut spread) = (vec![9.0; out], vec![9.0; len]);
    if s.padding == 0 {
        pool::avg_pool_forward(Form::Naive, &double(smooth), s, &mut mean);
        pool::avg_pool_backward(Form::Naive, &gd, s, &mut spread);
    }
    for form in Form::available() {
        let (mut got, mut got_at, mut got_dx) = (vec![f32::NAN; out], vec![7u32; out], vec![f32::NAN; len]);
        pool::max_pool_forward(form, &x, s, &mut got, &mut got_at);
        pool::max_pool_backward(form, gy, &at, s, &mut got_dx);
        assert!(got_at == at && error(&got, &y) == 0.0, "{form:?} {s:?}");
        assert!(unit_error(&got_dx, &dx) < 1e-6, "{form:?} {s:?}");
        if s.padding == 0 {
            pool::avg_pool_forward(form, smooth, s, &mut got);
            pool::avg_pool_backward(form, gy, s, &mut got_dx);
            assert!(unit_error(&got, &mean) < 1e-6 && unit_error(&got_dx, &spread) < 1e-6, "{form:?} {s:?}");
        }
    }
    let (mut mean, mut spread) = (vec![9.0; s.n * s.c], vec![9.0; len]);
    let g = noise(s.n * s.c, seed + 3);
    pool::global_avg_forward(Form::Naive, &double(smooth), s.h * s.w, s.c, &mut mean);
    pool::global_avg_backward(Form::Naive, &double(&g), s.h * s.w, s.c, &mut spread);
    for form in Form::available() {
        let (mut got, mut got_dx) = (vec![f32::NAN; s.n * s.c], vec![f32::NAN; len]);
        pool::global_avg_forward(form, smooth, s.h * s.w, s.c, &mut got);
        pool::global_avg_backward(form, &g, s.h * s.w, s.c, &mut got_dx);
        assert!(unit_error(&got, &mean) < 1e-6 && unit_error(&got_dx, &spread) < 1e-6, "{form:?} {s:?}");
    }
}

fn check_resize(s: &ResizeShape, seed: u64) {
    let (x, gy) = (&noise(s.n * s.h * s.w * s.c + 1, seed)[1..], &noise(s.n * s.ho * s.wo * s.c + 1, seed + 1)[1..]);
    let (mut y, mut dx) = (vec![9.0; gy.len()], vec![9.0; x.len()]);
    resize::resize_forward(Form::Naive, &double(x), s, &mut y);
    resize::resize_backward(Form::Naive, &double(gy), s, &mut dx);
    for form in Form::available() {
        let (mut got, mut got_dx) = (vec![f32::NAN; y.len()], vec![f32::NAN; x.len()]);
        resize::resize_forward(form, x, s, &mut got);
        resize::resize_backward(form, gy, s, &mut got_dx);
        let e = [unit_error(&got, &y), unit_error(&got_dx, &dx)];
        assert!(e.iter().all(|&e| e < 2e-6), "{form:?} {e:?} {s:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn pools_meet_the_plain_loops(
        n in 0usize..3, (h, w) in (1usize..10, 1usize..10), c in 1usize..80, kernel in 1usize..5, stride in 1usize..6, pad in 0usize..3,
        seed in 0u64..1000,
    ) {
        let padding = pad.min(kernel / 2);
        let least = kernel.saturating_sub(2 * padding).max(1);
        check_pool(&PoolShape { n, h: h.max(least), w: w.max(least), c, kernel, stride, padding }, seed);
    }

    #[test]
    fn resizes_meet_the_plain_loops(
        n in 0usize..3, (h, w) in (1usize..9, 1usize..9), (ho, wo) in (1usize..14, 1usize..14), c in 1usize..80,
        bilinear in any::<bool>(), seed in 0u64..1000,
    ) {
        check_resize(&ResizeShape { n, h, w, c, ho, wo, bilinear }, seed);
    }
}

#[test]
fn small_windows() {
    for c in [1, 5, 16, 19, 35] {
        check_pool(&PoolShape { n: 2, h: 4, w: 5, c, kernel: 3, stride: 2, padding: 1 }, 1);
        check_pool(&PoolShape { n: 1, h: 4, w: 4, c, kernel: 2, stride: 2, padding: 0 }, 2);
        check_resize(&ResizeShape { n: 2, h: 2, w: 3, c, ho: 5, wo: 4, bilinear: true }, 3);
        check_resize(&ResizeShape { n: 1, h: 5, w: 4, c, ho: 2, wo: 3, bilinear: false }, 4);
    }
}

#[test]
fn gradients_meet_finite_differences() {
    let s = PoolShape { n: 1, h: 4, w: 5, c: 2, kernel: 3, stride: 2, padding: 1 };
    let (x, g) = (double(&noise(40, 1)), double(&noise(40, 2)));
    let dot = |y: &[f64]| y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    let forward = |x: &[f64]| {
        let (mut y, mut at) = (vec![0.0; 12], vec![0; 12]);
        pool::max_pool_forward(Form::Naive, x, &s, &mut y, &mut at);
        (y, at)
    };
    let mut dx = vec![0.0; 40];
    pool::max_pool_backward(Form::Naive, &g[..12], &forward(&x).1, &s, &mut dx);
    gradient_check(&x, &dx, |x| dot(&forward(x).0));
    let s = PoolShape { padding: 0, ..s };
    pool::avg_pool_backward(Form::Naive, &g[..4], &s, &mut dx);
    gradient_check(&x, &dx, |x| {
        let mut y = vec![0.0; 4];
        pool::avg_pool_forward(Form::Naive, x, &s, &mut y);
        dot(&y)
    });
    let s = ResizeShape { n: 1, h: 4, w: 5, c: 2, ho: 3, wo: 6, bilinear: true };
    resize::resize_backward(Form::Naive, &g[..36], &s, &mut dx);
    gradient_check(&x, &dx, |x| {
        let mut y = vec![0.0; 36];
        resize::resize_forward(Form::Naive, x, &s, &mut y);
        dot(&y)
    });
}

#[test]
fn threads_change_nothing() {
    let s = PoolShape { n: 7, h: 9, w: 9, c: 19, kernel: 3, stride: 2, padding: 1 };
    let r = ResizeShape { n: 7, h: 9, w: 9, c: 19, ho: 20, wo: 17, bilinear: true };
    let (x, g) = (noise(7 * 81 * 19, 1), noise(7 * 340 * 19, 2));
    threads_agree(|| {
        let (mut y, mut at, mut dx) = (vec![0f32; 7 * 25 * 19], vec![0; 7 * 25 * 19], vec![0f32; x.len()]);
        pool::max_pool_forward(Form::current(), &x, &s, &mut y, &mut at);
        pool::max_pool_backward(Form::current(), &g[..y.len()], &at, &s, &mut dx);
        let (mut big, mut small) = (vec![0f32; g.len()], vec![0f32; x.len()]);
        resize::resize_forward(Form::current(), &x, &r, &mut big);
        resize::resize_backward(Form::current(), &g, &r, &mut small);
        [y, dx, big, small].concat()
    });
}

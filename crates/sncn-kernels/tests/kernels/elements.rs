//! Row-wise and element-wise kernels: every form against the plain loops in double precision, and those against finite differences.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, error_by, gradient_check, noise, threads_agree};
use proptest::prelude::*;
use sncn_kernels::cross_entropy::cross_entropy;
use sncn_kernels::gelu::{self, Gelu, gelu_backward, gelu_forward};
use sncn_kernels::layer_norm::{layer_norm_backward, layer_norm_forward};
use sncn_kernels::optim::{Adam, Sgd, adam_step, sgd_step};
use sncn_kernels::simd::Form;
use sncn_kernels::softmax::{softmax_backward, softmax_forward};

const GELUS: [Gelu; 2] = [Gelu::Erf, Gelu::Quick];

fn scaled(len: usize, seed: u64, scale: f32) -> Vec<f32> {
    noise(len + 1, seed)[1..].iter().map(|v| scale * v).collect()
}

fn labels(rows: usize, width: usize, seed: u64) -> Vec<u32> {
    noise(rows, seed).iter().map(|v| if *v > 0.7 { 255 } else { ((v + 1.0) * 1e3) as u32 % width as u32 }).collect()
}

fn check_softmax(rows: usize, width: usize, scale: f32, seed: u64) {
    let (x, g) = (&noise(rows * width + 1, seed)[1..], &noise(rows * width + 1, seed + 1)[1..]);
    let x: Vec<f32> =
        x.iter().enumerate().map(|(i, v)| if i % 7 == 3 && width > 1 { f32::NEG_INFINITY } else { scale * v }).collect();
    let (mut y, mut dx) = (vec![9.0; x.len()], vec![9.0; x.len()]);
    softmax_forward(Form::Naive, &double(&x), width, &mut y);
    let y32: Vec<f32> = y.iter().map(|&y| y as f32).collect();
    softmax_backward(Form::Naive, &double(&y32), &double(g), width, &mut dx);
    for form in Form::available() {
        let (mut got, mut got_dx) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        softmax_forward(form, &x, width, &mut got);
        softmax_backward(form, &y32, g, width, &mut got_dx);
        // where one probability is nearly 1 the gradient is a small difference: what it is measured against is gy
        let most = dx.iter().fold(0f64, |m, v| m.max(v.abs()));
        let e = [error(&got, &y), error(&got_dx, &dx) * most.min(1.0)];
        assert!(e.iter().all(|&e| e < 1e-6), "{form:?} {e:?} {rows} × {width}");
    }
    if width < 255 {
        let labels = labels(rows, width, seed + 2);
        let x: Vec<f32> = x.iter().map(|v| v.max(-scale)).collect();
        let mut want = vec![9.0; x.len()];
        let loss = cross_entropy(Form::Naive, &double(&x), width, &labels, Some(255), &mut want);
        for form in Form::available() {
            let mut got = vec![f32::NAN; x.len()];
            let got_loss = cross_entropy(form, &x, width, &labels, Some(255), &mut got);
            assert!(
                loss.is_nan() && got_loss.is_nan() || (loss - got_loss).abs() < 1e-6 * (1.0 + f64::from(scale)),
                "{form:?} {loss} {got_loss}"
            );
            let kept = labels.iter().filter(|&&l| l != 255).count().max(1) as f64;
            let e = error(&got, &want).min(error(&got, &want) * want.iter().fold(0f64, |m, v| m.max(v.abs())) * kept);
            assert!(e < 1e-6, "{form:?} {e:e} {rows} × {width}");
        }
    }
}

fn check_norm(rows: usize, width: usize, mean: f32, spread: f32, seed: u64) {
    let x: Vec<f32> = noise(rows * width, seed).iter().map(|v| mean + spread * v).collect();
    let (gamma, beta, gy) = (scaled(width, seed + 1, 1.0), scaled(width, seed + 2, 1.0), scaled(rows * width, seed + 3, 1.0));
    let (xd, gd, bd, gyd) = (double(&x), double(&gamma), double(&beta), double(&gy));
    let mut want = [vec![9.0; x.len()], vec![9.0; rows], vec![9.0; rows], vec![9.0; x.len()], vec![9.0; width], vec![9.0; width]];
    let [y, mu, inverse, dx, dgamma, dbeta] = &mut want;
    let eps = 1e-5;
    layer_norm_forward(Form::Naive, &xd, &gd, &bd, eps, y, mu, inverse);
    layer_norm_backward(Form::Naive, &xd, &gd, mu, inverse, &gyd, dx, dgamma, dbeta);
    for form in Form::available() {
        let mut got = [x.len(), rows, rows, x.len(), width, width].map(|len| vec![f32::NAN; len]);
        let [y, mu, inverse, dx, dgamma, dbeta] = &mut got;
        layer_norm_forward(form, &x, &gamma, &beta, eps, y, mu, inverse);
        layer_norm_backward(form, &x, &gamma, mu, inverse, &gy, dx, dgamma, dbeta);
        for (i, (got, right)) in got.iter().zip(&want).enumerate() {
            let most = |values: &[f64]| values.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
            let floor = match i {
                1 => most(&xd),
                // a row of one or two elements cancels: what it is measured against is gy over the standard deviation
                3 => most(&want[2]),
                // sums over rows may cancel
                4 | 5 => most(&gyd),
                _ => 1e-30,
            };
            let e = error_by(floor, &double(got), right);
            let e = if width == 1 && i == 4 { 0.0 } else { e };
            assert!(e < 5e-6, "{form:?} output {i}: {e:e}, {rows} × {width}, mean {mean}");
        }
    }
}

fn check_gelu(len: usize, scale: f32, seed: u64) {
    let (x, g) = (scaled(len, seed, scale), scaled(len, seed + 1, 1.0));
    for kind in GELUS {
        let (mut y, mut dx) = (vec![9.0; len], vec![9.0; len]);
        gelu_forward(Form::Naive, kind, &double(&x), &mut y);
        gelu_backward(Form::Naive, kind, &double(&x), &double(&g), &mut dx);
        for form in Form::available() {
            let (mut got, mut got_dx) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            gelu_forward(form, kind, &x, &mut got);
            gelu_backward(form, kind, &x, &g, &mut got_dx);
            let far = |got: &[f32], want: &[f64]| got.iter().zip(want).fold(0f64, |e, (&g, w)| e.max((f64::from(g) - w).abs()));
            let e = [far(&got, &y) / f64::from(scale.max(1.0)), far(&got_dx, &dx)];
            assert!(e.iter().all(|&e| e < 1e-6), "{form:?} {kind:?} {e:?} {len}");
        }
    }
}

fn check_optim(len: usize, seed: u64) {
    let (p, g, b) = (scaled(len, seed, 1.0), scaled(len, seed + 1, 1.0), scaled(len, seed + 2, 1.0));
    // all but the second moment are sums that may cancel: measured against their terms
    let terms = [&p, &g, &b].into_iter().flatten().fold(1e-30f64, |most, x| most.max(f64::from(x.abs())));
    let apart = |got: &[f32], want: &[f64]| error_by(terms, &double(got), want);
    let squares: Vec<f32> = b.iter().map(|b| b * b).collect();
    for form in Form::available() {
        for (nesterov, first) in [(false, false), (true, false), (true, true)] {
            let s = Sgd { lr: 0.1, momentum: 0.9, nesterov, weight_decay: 5e-4, first };
            let (mut want, mut want_b) = (double(&p), double(&b));
            sgd_step(Form::Naive, &s, &mut want, &double(&g), &mut want_b);
            let (mut got, mut got_b) = (p.clone(), b.clone());
            sgd_step(form, &s, &mut got, &g, &mut got_b);
            assert!(apart(&got, &want) < 1e-6 && apart(&got_b, &want_b) < 1e-6, "{form:?} {s:?}");
        }
        for (weight_decay, decoupled_decay, step) in [(0.0, 0.0, 1), (1e-2, 0.0, 3), (0.0, 1e-2, 1000)] {
            let s = Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay, decoupled_decay, step };
            // a moment's square never exceeds the second moment by much, as after real steps
            let m: Vec<f32> = b.iter().map(|b| 0.3 * b).collect();
            let (mut want, mut want_m, mut want_v) = (double(&p), double(&m), double(&squares));
            adam_step(Form::Naive, &s, &mut want, &double(&g), &mut want_m, &mut want_v);
            let (mut got, mut got_m, mut got_v) = (p.clone(), m.clone(), squares.clone());
            adam_step(form, &s, &mut got, &g, &mut got_m, &mut got_v);
            let e = [apart(&got, &want), 10.0 * apart(&got_m, &want_m), error(&got_v, &want_v)];
            assert!(e.iter().all(|&e| e < 1e-6), "{form:?} {s:?} {e:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn softmax_meets_the_plain_loops(rows in 0usize..40, width in 1usize..70, scale in 0.1f32..100.0, seed in 0u64..1000) {
        check_softmax(rows, width, scale, seed);
    }

    #[test]
    fn layer_norm_meets_the_plain_loops(rows in 0usize..90, width in 1usize..70, mean in -2f32..2.0, seed in 0u64..1000) {
        check_norm(rows, width, mean, 1.0, seed);
    }

    #[test]
    fn gelu_and_optimisers_meet_the_plain_loops(len in 0usize..200, scale in 0.1f32..30.0, seed in 0u64..1000) {
        check_gelu(len, scale, seed);
        check_optim(len, seed);
    }
}

#[test]
fn small_rows_and_elements() {
    for width in [1, 5, 16, 19, 35] {
        check_softmax(3, width, 4.0, 1);
        check_norm(3, width, 0.5, 1.0, 2);
        check_gelu(width, 4.0, 3);
        check_optim(width, 4);
    }
}

#[test]
fn long_rows() {
    check_softmax(2, 5003, 3.0, 1);
    check_softmax(1, 1_000_001, 1.0, 1);
    check_norm(2, 5003, 0.5, 1.0, 2);
    check_gelu(50_001, 6.0, 3);
    check_optim(50_001, 4);
}

#[test]
fn layer_norm_keeps_a_large_mean() {
    check_norm(40, 768, 1e4, 0.1, 1);
    check_norm(3, 19, -1e4, 0.1, 2);
}

#[test]
fn softmax_of_extremes() {
    let inf = f32::INFINITY;
    for form in Form::available() {
        for width in [4, 21] {
            let row = |values: [f32; 4]| {
                let mut x = vec![-inf; width];
                x[..4].copy_from_slice(&values);
                let mut y = vec![9f32; width];
                softmax_forward(form, &x, width, &mut y);
                y
            };
            assert_eq!(row([1e30, -1e30, -inf, 1e30])[..4], [0.5, 0.0, 0.0, 0.5], "{form:?}");
            for bad in [[f32::NAN, 1.0, 2.0, 3.0], [inf, 1.0, 2.0, 3.0], [-inf; 4]] {
                let y = row(bad);
                assert!(y.iter().all(|v| v.is_nan()), "{form:?} {bad:?}: {y:?}");
            }
        }
    }
}

#[test]
fn erf_is_right() {
    // 20 digits from Abramowitz and Stegun, table 7.1, and DLMF 7.23
    let known = [
        (0.0, 0.0),
        (0.1, 0.112_462_916_018_284_89),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (2.999_999_999, 0.999_977_909_502_862_1),
        (3.0, 0.999_977_909_503_001_4),
        (4.0, 0.999_999_984_582_742_1),
    ];
    for (x, want) in known {
        assert!((gelu::erf(x) - want).abs() < 1e-15 && (gelu::erf(-x) + want).abs() < 1e-15, "{x}: {} {want}", gelu::erf(x));
    }
    assert!(gelu::erf(f64::NAN).is_nan());
    assert_eq!(gelu::erf(f64::NEG_INFINITY), -1.0);
}

#[test]
fn gradients_meet_finite_differences() {
    let (x, g) = (double(&noise(12, 1)), double(&noise(12, 2)));
    let dot = |y: &[f64]| y.iter().zip(&g).map(|(y, g)| y * g).sum::<f64>();
    let softmax = |x: &[f64]| {
        let mut y = vec![0.0; 12];
        softmax_forward(Form::Naive, x, 4, &mut y);
        y
    };
    let mut dx = vec![0.0; 12];
    softmax_backward(Form::Naive, &softmax(&x), &g, 4, &mut dx);
    gradient_check(&x, &dx, |x| dot(&softmax(x)));
    for kind in GELUS {
        let mut dx = vec![0.0; 12];
        gelu_backward(Form::Naive, kind, &x, &g, &mut dx);
        gradient_check(&x, &dx, |x| {
            let mut y = vec![0.0; 12];
            gelu_forward(Form::Naive, kind, x, &mut y);
            dot(&y)
        });
    }
    let (mut dx, mut unused) = (vec![0.0; 12], vec![0.0; 12]);
    cross_entropy(Form::Naive, &x, 4, &[3, 255, 1], Some(255), &mut dx);
    let mut loss = |x: &[f64]| cross_entropy(Form::Naive, x, 4, &[3, 255, 1], Some(255), &mut unused);
    for (i, dx) in dx.iter().enumerate() {
        let mut at = |h: f64| loss(&x.iter().enumerate().map(|(j, v)| if i == j { v + h } else { *v }).collect::<Vec<_>>());
        assert!(((at(1e-5) - at(-1e-5)) / 2e-5 - dx).abs() < 1e-8);
    }
    let (gamma, beta) = (double(&noise(4, 3)), double(&noise(4, 4)));
    let forward = |x: &[f64], gamma: &[f64], beta: &[f64]| {
        let (mut y, mut mean, mut inverse) = (vec![0.0; 12], vec![0.0; 3], vec![0.0; 3]);
        layer_norm_forward(Form::Naive, x, gamma, beta, 1e-5, &mut y, &mut mean, &mut inverse);
        (y, mean, inverse)
    };
    let (_, mean, inverse) = forward(&x, &gamma, &beta);
    let (mut dx, mut dgamma, mut dbeta) = (vec![0.0; 12], vec![0.0; 4], vec![0.0; 4]);
    layer_norm_backward(Form::Naive, &x, &gamma, &mean, &inverse, &g, &mut dx, &mut dgamma, &mut dbeta);
    gradient_check(&x, &dx, |x| dot(&forward(x, &gamma, &beta).0));
    gradient_check(&gamma, &dgamma, |gamma| dot(&forward(&x, gamma, &beta).0));
    gradient_check(&beta, &dbeta, |beta| dot(&forward(&x, &gamma, beta).0));
}

#[test]
fn threads_change_nothing() {
    let (rows, width) = (3001, 37);
    let len = rows * width;
    let (x, g, t) = (noise(len, 1), noise(len, 2), noise(width, 3));
    let labels = labels(rows, width, 4);
    threads_agree(|| {
        let form = Form::current();
        let new = || vec![0f32; len];
        let (mut y, mut dx, mut e) = (new(), new(), new());
        softmax_forward(form, &x, width, &mut y);
        softmax_backward(form, &y, &g, width, &mut dx);
        let loss = cross_entropy(form, &x, width, &labels, Some(255), &mut e);
        let (mut z, mut mean, mut inverse) = (new(), vec![0f32; rows], vec![0f32; rows]);
        layer_norm_forward(form, &x, &t, &t, 1e-5, &mut z, &mut mean, &mut inverse);
        let (mut dz, mut dgamma, mut dbeta) = (new(), vec![0f32; width], vec![0f32; width]);
        layer_norm_backward(form, &x, &t, &mean, &inverse, &g, &mut dz, &mut dgamma, &mut dbeta);
        let (mut h, mut dh) = (new(), new());
        gelu_forward(form, Gelu::Erf, &x, &mut h);
        gelu_backward(form, Gelu::Erf, &x, &g, &mut dh);
        let (mut p, mut m, mut v) = (x.clone(), new(), new());
        let adam = Adam { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, decoupled_decay: 0.1, step: 2 };
        adam_step(form, &adam, &mut p, &g, &mut m, &mut v);
        [y, dx, e, vec![loss as f32], z, mean, inverse, dz, dgamma, dbeta, h, dh, p, m, v].concat()
    });
}

//! bf16 products: against the defining loops over rounded inputs (what f32 sums lose) and over the inputs themselves (what
//! rounding loses), in every form.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, error_by, noise, shapes};
use proptest::prelude::*;
use sncn_kernels::bf16;
use sncn_kernels::conv::{self, ConvShape};
use sncn_kernels::fused::{self, Algorithm, PackedWeight, Precision};
use sncn_kernels::linear::{self, LinearShape};
use sncn_kernels::simd::Form;

/// Rounded by another road than the kernels': through the spacing of bf16 numbers.
fn rounded(x: &[f32]) -> Vec<f64> {
    let near = |v: f64| {
        let spacing = (v.abs().log2().floor() - 7.0).exp2();
        if v == 0.0 { v } else { (v / spacing).round_ties_even() * spacing }
    };
    x.iter().map(|&v| near(f64::from(v))).collect()
}

/// A quarter of what an output could be: a few outputs whose terms all cancel are not measured against what is left.
fn floor(x: &[f32], weight: &[f32], c_out: usize) -> f64 {
    let most = x.iter().fold(0f32, |m, v| m.max(v.abs()));
    let sums = weight.chunks((weight.len() / c_out).max(1)).map(|w| w.iter().map(|w| w.abs()).sum::<f32>());
    f64::from(most * sums.fold(0.0, f32::max) / 4.0).max(1e-30)
}

fn forward(s: &ConvShape, packed: &PackedWeight, x: &[f32]) -> Vec<f32> {
    let (ho, wo) = s.output();
    let mut y = vec![f32::NAN; s.n * ho * wo * s.c_out];
    let finish = |_: usize, _: std::ops::Range<usize>, y: &mut [f32]| y.iter_mut().for_each(|y| *y *= 2.0);
    fused::conv_forward(s, packed, &fused::copy_rows(x, s.h, s.w * s.c_in), &finish, &mut y);
    y.iter_mut().for_each(|y| *y *= 0.5);
    y
}

/// Every form and algorithm. Winograd's rounds sums of up to four inputs, so only the second bound is its own, over twice the floor.
fn check(s: &ConvShape, seed: u64) {
    // one element into their buffers, so that neither is aligned
    let x = noise(1 + s.n * s.h * s.w * s.c_in, seed);
    let weight = noise(1 + s.c_out * s.c_in / s.groups * s.kh * s.kw, seed + 1);
    let (x, weight) = (&x[1..], &weight[1..]);
    let (ho, wo) = s.output();
    let naive = |x: &[f64], weight: &[f64]| {
        let mut y = vec![0.0; s.n * ho * wo * s.c_out];
        conv::conv2d_forward(Form::Naive, x, weight, None, s, &mut y);
        y
    };
    let (close, plain) = (naive(&rounded(x), &rounded(weight)), naive(&double(x), &double(weight)));
    let floor = floor(x, weight, s.c_out);
    for form in Form::available() {
        let y = forward(s, &PackedWeight::bf16_by(form, Algorithm::Direct, s, weight), x);
        let (sums, rounding) = (error_by(floor, &double(&y), &close), error_by(floor, &double(&y), &plain));
        assert!(sums <= 1e-5, "{form:?}: {sums:e} {s:?}");
        assert!(rounding <= 1e-2, "{form:?}: {rounding:e} of the unrounded, {s:?}");
        if Precision::Bf16.fits(s, Algorithm::Winograd) {
            let y = forward(s, &PackedWeight::bf16_by(form, Algorithm::Winograd, s, weight), x);
            let rounding = error_by(2.0 * floor, &double(&y), &plain);
            assert!(rounding <= 1e-2, "{form:?}: {rounding:e} of the unrounded by Winograd, {s:?}");
        }
    }
    let y = forward(s, &PackedWeight::bf16(s, weight), x);
    assert!(error_by(floor, &double(&y), &plain) <= 1e-2, "by the rule: {s:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn convolutions_lose_what_rounding_loses(s in shapes(), seed in 0u64..1000) {
        check(&s, seed);
    }

    #[test]
    fn linear_maps_lose_what_rounding_loses(rows in 0usize..150, c_in in 0usize..70, c_out in 1usize..70, seed in 0u64..1000) {
        let s = LinearShape { rows, c_in, c_out };
        let (x, w, b) = (noise(1 + rows * c_in, seed), noise(1 + c_in * c_out, seed + 1), noise(c_out, seed + 2));
        let (x, w) = (&x[1..], &w[1..]);
        let naive = |x: &[f64], w: &[f64]| -> Vec<f64> {
            let sum = |r: usize, o: usize| (0..c_in).map(|k| x[r * c_in + k] * w[o * c_in + k]).sum::<f64>();
            (0..rows * c_out).map(|i| f64::from(b[i % c_out]) + sum(i / c_out, i % c_out)).collect()
        };
        let (close, plain) = (naive(&rounded(x), &rounded(w)), naive(&double(x), &double(w)));
        let floor = floor(x, w, c_out);
        for form in Form::available() {
            let mut y = vec![f32::NAN; rows * c_out];
            linear::linear_forward_bf16(form, x, w, Some(&b), &s, &mut y);
            prop_assert!(error_by(floor, &double(&y), &close) <= 1e-5, "{form:?}: {s:?}");
            prop_assert!(error_by(floor, &double(&y), &plain) <= 1e-2, "{form:?}, unrounded: {s:?}");
        }
    }
}

const PLAIN: ConvShape = ConvShape {
    n: 2,
    h: 9,
    w: 9,
    c_in: 5,
    c_out: 7,
    kh: 3,
    kw: 3,
    stride: 1,
    padding: (1, 1),
    extra: (0, 0),
    dilation: 1,
    groups: 1,
};

#[test]
fn corner_shapes() {
    let shapes = [
        ConvShape { h: 1, w: 1, ..PLAIN },
        ConvShape { h: 1, w: 1, kh: 1, kw: 1, padding: (0, 0), c_in: 131, c_out: 70, n: 70, ..PLAIN },
        ConvShape { n: 0, ..PLAIN },
        ConvShape { n: 1, h: 5, w: 6, c_in: 1101, c_out: 40, ..PLAIN },
        ConvShape { c_in: 3, c_out: 16, h: 32, w: 32, ..PLAIN },
        ConvShape { c_in: 64, c_out: 128, h: 8, w: 8, n: 65, ..PLAIN },
        ConvShape { c_in: 63, c_out: 33, h: 70, w: 70, n: 1, dilation: 2, padding: (2, 2), ..PLAIN },
        ConvShape { c_in: 3, c_out: 64, h: 75, w: 131, n: 1, kh: 7, kw: 7, stride: 2, padding: (3, 3), ..PLAIN },
        ConvShape { c_in: 32, c_out: 32, h: 100, w: 90, n: 1, stride: 2, ..PLAIN },
        ConvShape { c_in: 256, c_out: 24, h: 40, w: 40, n: 1, kh: 1, kw: 1, stride: 2, padding: (0, 0), ..PLAIN },
    ];
    shapes.iter().enumerate().for_each(|(i, s)| check(s, i as u64));
}

#[test]
fn rounding_in_wide_layers() {
    for (c, size) in [(16, 32), (32, 32), (64, 16), (128, 8)] {
        let s = ConvShape { c_in: c, c_out: c, h: size, w: size, ..PLAIN };
        let (x, weight) = (noise(s.n * size * size * c, 1), noise(c * c * 9, 2));
        let (mut want, mut close) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        conv::conv2d_forward(Form::Naive, &double(&x), &double(&weight), None, &s, &mut want);
        conv::conv2d_forward(Form::Naive, &rounded(&x), &rounded(&weight), None, &s, &mut close);
        let by = |algorithm| forward(&s, &PackedWeight::bf16_by(Form::current(), algorithm, &s, &weight), &x);
        assert!(error(&by(Algorithm::Direct), &close) <= 1e-5, "{c} channels: sums");
        let [direct, winograd] = [Algorithm::Direct, Algorithm::Winograd].map(|a| error(&by(a), &want));
        println!("{c} channels: direct {direct:.1e}, Winograd {winograd:.1e} of the largest");
        assert!(direct < 3e-3 && winograd < 5e-3, "{c} channels: direct {direct:e}, Winograd {winograd:e}");
    }
}

#[test]
fn the_rule_keeps_lone_channels_in_f32() {
    let rule = |c_in, c_out, groups| Precision::choose(&ConvShape { c_in, c_out, groups, ..PLAIN });
    assert_eq!(rule(3, 16, 1), (Precision::F32, Algorithm::Direct));
    assert_eq!(rule(32, 32, 32), (Precision::F32, Algorithm::Depthwise));
    assert_eq!(rule(3, 64, 1), (Precision::Bf16, Algorithm::Direct));
    assert_eq!(rule(16, 32, 1), (Precision::Bf16, Algorithm::Winograd));
    assert_eq!(rule(30, 30, 2), (Precision::Bf16, Algorithm::Direct), "pairs may not straddle groups");
}

#[test]
fn a_bad_pixel_reaches_what_it_touches_and_no_more() {
    for form in Form::available() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::MAX] {
            let mut x = noise(2 * 9 * 9 * 5, 3);
            x[(4 * 9 + 4) * 5 + 4] = bad;
            let packed = PackedWeight::bf16_by(form, Algorithm::Direct, &PLAIN, &noise(7 * 5 * 9, 4));
            for (i, v) in forward(&PLAIN, &packed, &x).iter().enumerate() {
                let (n, row, column) = (i / 567, i / 63 % 9, i / 7 % 9);
                let under = n == 0 && (3..6).contains(&row) && (3..6).contains(&column);
                assert_eq!(v.is_finite(), !under, "{form:?}: {bad} at image {n}, row {row}, column {column}");
            }
            let s = LinearShape { rows: 3, c_in: 5, c_out: 4 };
            let (mut x, mut y) = (noise(15, 5), vec![0.0; 12]);
            x[9] = bad;
            linear::linear_forward_bf16(form, &x, &noise(20, 6), None, &s, &mut y);
            assert!(y.iter().enumerate().all(|(i, v)| v.is_finite() == (i / 4 != 1)), "{form:?}: {bad}: {y:?}");
        }
    }
}

#[test]
fn rounded_inputs_change_nothing() {
    for form in Form::available() {
        let (x, w) = (noise(2 * 81 * 5, 1), noise(7 * 45, 2));
        let round = |v: &[f32]| v.iter().map(|&v| bf16::round(v)).collect::<Vec<_>>();
        let y = forward(&PLAIN, &PackedWeight::bf16_by(form, Algorithm::Direct, &PLAIN, &w), &x);
        assert_eq!(
            y,
            forward(&PLAIN, &PackedWeight::bf16_by(form, Algorithm::Direct, &PLAIN, &round(&w)), &round(&x)),
            "{form:?}"
        );
    }
}

#[test]
fn threads_change_nothing() {
    let shapes = [
        ConvShape { n: 11, c_in: 21, c_out: 36, ..PLAIN },
        ConvShape { n: 11, c_in: 20, c_out: 36, stride: 2, ..PLAIN },
        ConvShape { n: 1, h: 90, w: 64, c_in: 32, c_out: 12, ..PLAIN },
        ConvShape { n: 150, h: 1, w: 1, c_in: 33, c_out: 40, kh: 1, kw: 1, padding: (0, 0), ..PLAIN },
    ];
    for s in shapes {
        let (x, w) = (noise(s.n * s.h * s.w * s.c_in, 9), noise(s.c_out * s.c_in * s.kh * s.kw, 8));
        let shape = LinearShape { rows: s.n, c_in: s.c_in, c_out: s.c_out };
        let all = || {
            let mut y = forward(&s, &PackedWeight::bf16_by(Form::current(), Algorithm::Direct, &s, &w), &x);
            let (x, w) = (&x[..s.n * s.c_in], &w[..s.c_in * s.c_out]);
            let mut z = vec![0.0; s.n * s.c_out];
            linear::linear_forward_bf16(Form::current(), x, w, None, &shape, &mut z);
            y.append(&mut z);
            y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let results = [1, 2, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all));
        assert!(results[0] == results[1] && results[1] == results[2], "{s:?}");
    }
}

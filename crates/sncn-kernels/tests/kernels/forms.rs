//! Every form and algorithm of the f32 kernels against the defining loops in double precision.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, noise, shapes, unit_error};
use proptest::prelude::*;
use sncn_kernels::conv::{self, ConvShape};
use sncn_kernels::fused::{self, Algorithm, Direction, PackedWeight};
use sncn_kernels::linear::{self, LinearShape};
use sncn_kernels::simd::Form;
use std::sync::Mutex;

struct Case {
    x: Vec<f32>,
    weight: Vec<f32>,
    gy: Vec<f32>,
    want: [Vec<f64>; 3],
}

/// Slices that start one element into their buffers, so that none is aligned.
fn case(s: &ConvShape, seed: u64) -> Case {
    let (ho, wo) = s.output();
    let (x, gy) = (noise(1 + s.n * s.h * s.w * s.c_in, seed), noise(1 + s.n * ho * wo * s.c_out, seed + 1));
    let weight = noise(1 + s.c_out * s.c_in / s.groups * s.kh * s.kw, seed + 2);
    let (xd, wd, gd) = (double(&x[1..]), double(&weight[1..]), double(&gy[1..]));
    let mut want = [vec![0.0; gd.len()], vec![0.0; xd.len()], vec![0.0; wd.len()]];
    conv::conv2d_forward(Form::Naive, &xd, &wd, None, s, &mut want[0]);
    conv::conv2d_input_gradient(Form::Naive, &gd, &wd, s, &mut want[1]);
    conv::conv2d_weight_gradient(Form::Naive, &xd, &gd, s, &mut want[2]);
    Case { x, weight, gy, want }
}

fn run(s: &ConvShape, form: Form, algorithm: Algorithm, direction: Direction, weight: &[f32], source: &[f32], out: &mut [f32]) {
    let (ho, wo) = s.output();
    let packed = PackedWeight::by(form, algorithm, s, direction, weight);
    let seen = Mutex::new(Vec::new());
    let finish = |n: usize, rows: std::ops::Range<usize>, values: &mut [f32]| {
        values.iter_mut().for_each(|v| *v += 1.0);
        seen.lock().unwrap().extend(rows.map(|row| (n, row)));
    };
    let height = match direction {
        Direction::Forward => {
            fused::conv_forward(s, &packed, &fused::copy_rows(source, s.h, s.w * s.c_in), &finish, out);
            ho
        }
        Direction::InputGradient => {
            fused::conv_input_gradient(s, &packed, &fused::copy_rows(source, ho, wo * s.c_out), &finish, out);
            s.h
        }
    };
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    let every: Vec<_> = (0..s.n).flat_map(|n| (0..height).map(move |row| (n, row))).collect();
    assert_eq!(seen, every, "every row is finished once");
    out.iter_mut().for_each(|v| *v -= 1.0);
}

fn check(s: &ConvShape, seed: u64) {
    let case = case(s, seed);
    for form in Form::available() {
        for algorithm in [Algorithm::Direct, Algorithm::Depthwise, Algorithm::Winograd] {
            let bound = 5e-6;
            let mut out = [0, 1, 2].map(|i| vec![f32::NAN; 1 + case.want[i].len()]);
            if algorithm.fits(s, Direction::Forward) {
                run(s, form, algorithm, Direction::Forward, &case.weight[1..], &case.x[1..], &mut out[0][1..]);
                let e = unit_error(&out[0][1..], &case.want[0]);
                assert!(e < bound, "{form:?} {algorithm:?} forward: {e:e} {s:?}");
                let (ho, wo) = s.output();
                let stage_x = fused::copy_rows(&case.x[1..], s.h, s.w * s.c_in);
                let stage_gy = fused::copy_rows(&case.gy[1..], ho, wo * s.c_out);
                fused::conv_weight_gradient_by(form, algorithm, s, &stage_x, &stage_gy, &mut out[2][1..]);
                let e = unit_error(&out[2][1..], &case.want[2]);
                assert!(e < bound, "{form:?} {algorithm:?} weight gradient: {e:e} {s:?}");
            }
            if algorithm.fits(s, Direction::InputGradient) {
                run(s, form, algorithm, Direction::InputGradient, &case.weight[1..], &case.gy[1..], &mut out[1][1..]);
                let e = unit_error(&out[1][1..], &case.want[1]);
                assert!(e < bound, "{form:?} {algorithm:?} input gradient: {e:e} {s:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn convolutions_meet_the_defining_loops(s in shapes(), seed in 0u64..1000) {
        check(&s, seed);
    }

    #[test]
    fn products_meet_the_defining_loops(rows in 0usize..150, c_in in 1usize..70, c_out in 1usize..70, seed in 0u64..1000) {
        let s = LinearShape { rows, c_in, c_out };
        let (x, w, b, gy) = (noise(1 + rows * c_in, seed), noise(1 + c_in * c_out, seed + 1), noise(c_out, seed + 2), noise(1 + rows * c_out, seed + 3));
        let (x, w, gy) = (&x[1..], &w[1..], &gy[1..]);
        let sum = |len: usize, f: &dyn Fn(usize) -> f64| (0..len).map(f).sum::<f64>();
        let d = |v: f32| f64::from(v);
        let y: Vec<f64> = (0..rows * c_out).map(|i| d(b[i % c_out]) + sum(c_in, &|k| d(x[i / c_out * c_in + k]) * d(w[i % c_out * c_in + k]))).collect();
        let dx: Vec<f64> = (0..rows * c_in).map(|i| sum(c_out, &|k| d(gy[i / c_in * c_out + k]) * d(w[k * c_in + i % c_in]))).collect();
        let dw: Vec<f64> = (0..c_out * c_in).map(|i| sum(rows, &|r| d(gy[r * c_out + i / c_in]) * d(x[r * c_in + i % c_in]))).collect();
        for form in Form::available() {
            let (mut y2, mut dx2, mut dw2) = (vec![f32::NAN; y.len()], vec![f32::NAN; dx.len()], vec![f32::NAN; dw.len()]);
            linear::linear_forward(form, x, w, Some(&b), &s, &mut y2);
            linear::linear_input_gradient(form, gy, w, &s, &mut dx2);
            linear::linear_weight_gradient(form, x, gy, &s, &mut dw2);
            for (got, want) in [(&y2, &y), (&dx2, &dx), (&dw2, &dw)] {
                prop_assert!(unit_error(got, want) < 3e-6, "{form:?}: {s:?}");
            }
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

/// One channel a group.
const fn depthwise(c: usize, k: usize, stride: usize) -> ConvShape {
    ConvShape { c_in: c, c_out: c, groups: c, kh: k, kw: k, stride, padding: (k / 2, k / 2), ..PLAIN }
}

#[test]
fn corner_shapes() {
    let shapes = [
        ConvShape { h: 1, w: 1, ..PLAIN },
        ConvShape { h: 1, w: 1, kh: 1, kw: 1, padding: (0, 0), c_in: 130, c_out: 70, n: 70, ..PLAIN },
        ConvShape { n: 0, ..PLAIN },
        ConvShape { c_in: 64, c_out: 128, h: 8, w: 8, n: 65, ..PLAIN },
        ConvShape { c_in: 64, c_out: 33, h: 70, w: 70, n: 1, dilation: 2, padding: (2, 2), ..PLAIN },
        ConvShape { c_in: 3, c_out: 64, h: 75, w: 131, n: 1, kh: 7, kw: 7, stride: 2, padding: (3, 3), ..PLAIN },
        ConvShape { c_in: 32, c_out: 32, h: 100, w: 90, n: 1, stride: 2, ..PLAIN },
        ConvShape { c_in: 256, c_out: 24, h: 40, w: 40, n: 1, kh: 1, kw: 1, stride: 2, padding: (0, 0), ..PLAIN },
        depthwise(32, 3, 1),
        ConvShape { h: 112, w: 113, n: 1, padding: (0, 1), extra: (1, 0), ..depthwise(48, 3, 2) },
        ConvShape { h: 28, w: 29, ..depthwise(51, 5, 1) },
        ConvShape { h: 56, w: 30, padding: (1, 1), extra: (1, 1), ..depthwise(144, 5, 2) },
        ConvShape { h: 7, w: 7, n: 40, ..depthwise(672, 5, 1) },
        ConvShape { h: 6, w: 7, kh: 1, kw: 2, padding: (0, 0), ..depthwise(20, 3, 3) },
        ConvShape { h: 14, w: 12, n: 3, dilation: 2, padding: (4, 3), ..depthwise(35, 5, 1) },
    ];
    shapes.iter().enumerate().for_each(|(i, s)| check(s, i as u64));
}

/// Weights beyond the cache: more channels than are multiplied at a time, ragged panels, several units, chunks and blocks.
const WIDE: [ConvShape; 4] = [
    ConvShape { n: 3, h: 6, w: 7, c_in: 530, c_out: 131, ..PLAIN },
    ConvShape { n: 1, h: 33, w: 19, c_in: 133, c_out: 500, dilation: 2, padding: (2, 1), ..PLAIN },
    ConvShape { n: 9, h: 5, w: 7, c_in: 270, c_out: 261, kh: 1, kw: 1, padding: (0, 0), ..PLAIN },
    // more than is laid out at a time
    ConvShape { n: 1, h: 90, w: 90, c_in: 1024, c_out: 70, kh: 1, kw: 1, padding: (0, 0), ..PLAIN },
];

#[test]
fn wide_convolutions() {
    WIDE.iter().enumerate().for_each(|(i, s)| check(s, i as u64));
}

#[test]
fn small_convolutions() {
    for (i, c) in [1, 5, 17].into_iter().enumerate() {
        let s = ConvShape { n: 1, h: 5, w: 6, c_in: c, c_out: c + 2, ..PLAIN };
        check(&s, i as u64);
        check(&ConvShape { stride: 2, ..s }, i as u64);
        check(&ConvShape { kh: 1, kw: 1, padding: (0, 0), ..s }, i as u64);
    }
}

#[test]
fn winograd_keeps_its_accuracy() {
    for (c, size, n) in [(32, 32, 8), (64, 16, 8), (128, 8, 8)] {
        let s = ConvShape { c_in: c, c_out: c, h: size, w: size, n, ..PLAIN };
        let (case, form) = (case(&s, 5), Form::current());
        let (stage_x, stage_gy) =
            (fused::copy_rows(&case.x[1..], size, size * c), fused::copy_rows(&case.gy[1..], size, size * c));
        let packed = PackedWeight::by(form, Algorithm::Winograd, &s, Direction::Forward, &case.weight[1..]);
        let (mut y, mut dw) = (vec![0.0; case.want[0].len()], vec![0.0; case.want[2].len()]);
        fused::conv_forward(&s, &packed, &stage_x, &fused::no_finish, &mut y);
        fused::conv_weight_gradient_by(form, Algorithm::Winograd, &s, &stage_x, &stage_gy, &mut dw);
        let (forward, gradient) = (error(&y, &case.want[0]), error(&dw, &case.want[2]));
        let mut plain = dw.clone();
        conv::conv2d_weight_gradient(Form::Naive, &case.x[1..], &case.gy[1..], &s, &mut plain);
        let plain = error(&plain, &case.want[2]);
        println!("{c} channels: forward {forward:.1e}, weight gradient {gradient:.1e}, as a plain sum {plain:.1e}");
        assert!(forward < 3e-6, "{c} channels, forward: {forward:e}");
        assert!(gradient < plain, "{c} channels, weight gradient: {gradient:e}, as a plain sum {plain:e}");
    }
}

#[test]
fn a_bad_pixel_stays_in_its_tiles() {
    for form in Form::available() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = noise(2 * 9 * 9 * 5, 3);
            x[(4 * 9 + 4) * 5 + 2] = bad;
            let weight = noise(7 * 5 * 9, 4);
            let packed = PackedWeight::by(form, Algorithm::Winograd, &PLAIN, Direction::Forward, &weight);
            let mut y = vec![0.0; 2 * 9 * 9 * 7];
            fused::conv_forward(&PLAIN, &packed, &fused::copy_rows(&x, 9, 45), &fused::no_finish, &mut y);
            for (i, v) in y.iter().enumerate() {
                let (n, row, column) = (i / 567, i / 63 % 9, i / 7 % 9);
                let near = n == 0 && (2..6).contains(&row) && (2..6).contains(&column);
                assert!(v.is_finite() || near, "{form:?}: {bad} reached image {n}, row {row}, column {column}");
                let under = n == 0 && (3..6).contains(&row) && (3..6).contains(&column);
                assert!(!(under && v.is_finite()), "{form:?}: {bad} was lost");
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    let shapes = [
        ConvShape { n: 11, c_in: 20, c_out: 36, ..PLAIN },
        ConvShape { n: 11, c_in: 20, c_out: 36, stride: 2, ..PLAIN },
        ConvShape { n: 1, h: 90, w: 64, c_in: 32, c_out: 12, ..PLAIN },
        ConvShape { n: 11, h: 30, w: 31, padding: (1, 1), extra: (1, 0), ..depthwise(40, 5, 2) },
    ];
    for s in shapes.into_iter().chain(WIDE) {
        let case = case(&s, 9);
        let all = || {
            let mut out = [0, 1, 2].map(|i| vec![0f32; case.want[i].len()]);
            conv::conv2d_forward(Form::current(), &case.x[1..], &case.weight[1..], None, &s, &mut out[0]);
            conv::conv2d_input_gradient(Form::current(), &case.gy[1..], &case.weight[1..], &s, &mut out[1]);
            conv::conv2d_weight_gradient(Form::current(), &case.x[1..], &case.gy[1..], &s, &mut out[2]);
            out.map(|out| out.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        let results = [1, 2, 3].map(|threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(all));
        assert!(results[0] == results[1] && results[1] == results[2], "{s:?}");
    }
}

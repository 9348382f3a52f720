//! Passes over maps, statistics and affine maps: every form against the defining loops in double precision.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, error_by, error64, gradient_check, noise, threads_agree, unit_error};
use proptest::prelude::*;
use sncn_kernels::affine::{self, Affine, Outside};
use sncn_kernels::positions::Positions;
use sncn_kernels::rows::{self, Activation, Coefficients, naive};
use sncn_kernels::simd::Form;
use sncn_kernels::stats::{self, MapShape};

const ACTIVATIONS: [Activation; 5] =
    [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::LeakyRelu(0.1), Activation::QuickGelu];

/// All passes of `rows` over one map.
fn check_rows(positions: usize, channels: usize, seed: u64) {
    let len = positions * channels;
    let map = |i: u64| noise(len + 1, seed + i);
    let table = |i: u64| noise(channels + 1, seed + 10 + i);
    let (x, g, y) = (&map(0)[1..], &map(1)[1..], &map(2)[1..]);
    let (p, q, r, m) = (&table(0)[1..], &table(1)[1..], &table(2)[1..], &table(3)[1..]);
    let (xd, gd, yd) = (double(x), double(g), double(y));
    let (pd, qd, rd, md) = (double(p), double(q), double(r), double(m));
    // far enough from 0 that every activation's bounds are crossed
    let tall: Vec<f32> = [0.].into_iter().chain(x.iter().map(|x| 16. * x)).collect();
    let near = |what: &str, form: Form, got: &[f32], want: &[f64]| {
        let e = unit_error(got, want);
        assert!(e < 1e-6, "{form:?} {what}: {e:e}, {positions} × {channels}");
    };
    for form in Form::available() {
        for activation in ACTIVATIONS {
            let (mut got, mut want) = (vec![f32::NAN; len + 1], vec![0.0; len]);
            rows::activate(form, &tall[1..], p, q, activation, &mut got[1..]);
            naive::activate(&double(&tall[1..]), &pd, &qd, activation, &mut want);
            near("activate", form, &got[1..], &want);
        }
        let (mut got, mut want) = (y.to_vec(), yd.clone());
        rows::add_affine(form, &mut got, x, p, q);
        naive::add_affine(&mut want, &xd, &pd, &qd);
        near("add_affine", form, &got, &want);
        let (mut got, mut want) = (g.to_vec(), gd.clone());
        rows::combine(form, &mut got, x, Coefficients { p, q, r, m });
        naive::combine(&mut want, &xd, [&pd, &qd, &rd, &md]);
        near("combine", form, &got, &want);
        let (mut got, mut want) = (y.to_vec(), yd.clone());
        rows::accumulate(form, &mut got, g, x, Coefficients { p, q, r, m });
        naive::accumulate(&mut want, &gd, &xd, [&pd, &qd, &rd, &md]);
        near("accumulate", form, &got, &want);
        // a pre-activation that rounding could carry over zero would make the mask ambiguous: steps of 1/64 do not
        let coarse = |t: &[f32]| t.iter().map(|v| (v * 64.0).round() / 64.0).collect::<Vec<_>>();
        let (xc, pc, qc) = (coarse(&tall[1..]), coarse(p), coarse(q));
        for activation in ACTIVATIONS {
            let (mut got, mut want) = (g.to_vec(), gd.clone());
            rows::activate_backward(form, &mut got, &xc, &pc, &qc, activation);
            naive::activate_backward(&mut want, &double(&xc), &double(&pc), &double(&qc), activation);
            near("activate_backward", form, &got, &want);
        }
        let sums = |what: &str, got: [&[f64]; 2], want: [&[f64]; 2]| {
            for (got, want) in got.into_iter().zip(want) {
                let e = got.iter().zip(want).fold(0f64, |e, (g, w)| e.max((g - w).abs()));
                assert!(e < 1e-6 * (1.0 + positions as f64), "{form:?} {what}: {e:e}, {positions} × {channels}");
            }
        };
        let fresh = || (vec![1f64; channels], vec![2f64; channels]);
        let (mut one, mut two, (mut want1, mut want2)) = (fresh().0, fresh().1, fresh());
        rows::sums(form, x, &mut one);
        naive::sums(&xd, &mut want1);
        sums("sums", [&one, &two], [&want1, &want2]);
        rows::centred_sums(form, x, m, &mut one, &mut two);
        naive::centred_sums(&xd, &md, &mut want1, &mut want2);
        sums("centred_sums", [&one, &two], [&want1, &want2]);
        rows::product_sums(form, g, x, m, &mut one, &mut two);
        naive::product_sums(&gd, &xd, &md, &mut want1, &mut want2);
        sums("product_sums", [&one, &two], [&want1, &want2]);
    }
}

/// Statistics and affine maps over some positions.
fn check_maps(shape: MapShape, positions: Positions<'_>, shared: bool, seed: u64) {
    let MapShape { instances, channels, .. } = shape;
    let len = instances * shape.instance_len();
    let (x, gy) = (&noise(len + 1, seed)[1..], &noise(len + 1, seed + 1)[1..]);
    let table = |rows: usize, i: u64| noise(rows * channels, seed + 2 + i);
    let (xd, gd) = (double(x), double(gy));
    let (mut mean, mut variance) = (vec![9.0; instances * channels], vec![9.0; instances * channels]);
    stats::instance_stats(Form::Naive, &xd, shape, positions, &mut mean, &mut variance);
    let (g_mean, g_variance) = (table(instances, 0), table(instances, 1));
    let mut dx = vec![9.0; len];
    let mean32: Vec<f32> = mean.iter().map(|&m| m as f32).collect();
    stats::instance_stats_backward(
        Form::Naive,
        &xd,
        shape,
        positions,
        &double(&mean32),
        &double(&g_mean),
        &double(&g_variance),
        &mut dx,
    );
    for form in Form::available() {
        let (mut got_mean, mut got_variance, mut got_dx) =
            (vec![f32::NAN; mean.len()], vec![f32::NAN; mean.len()], vec![f32::NAN; len]);
        stats::instance_stats(form, x, shape, positions, &mut got_mean, &mut got_variance);
        stats::instance_stats_backward(form, x, shape, positions, &mean32, &g_mean, &g_variance, &mut got_dx);
        let e = [unit_error(&got_mean, &mean), unit_error(&got_variance, &variance), unit_error(&got_dx, &dx)];
        assert!(e.iter().all(|&e| e < 2e-6), "{form:?} {e:?} {shape:?} {positions:?}");
    }
    let rows = if shared { 1 } else { instances };
    let (m, a, b) = (table(rows, 3), table(rows, 4), table(rows, 5));
    let (md, ad, bd) = (double(&m), double(&a), double(&b));
    for outside in [Outside::Keep, Outside::Zero] {
        let op = Affine { shape, positions, outside, rows };
        let (mut ys, mut dx, mut da, mut db) = (vec![9.0; len], vec![9.0; len], vec![9.0; a.len()], vec![9.0; a.len()]);
        affine::channel_affine(Form::Naive, &op, &xd, &md, &ad, &bd, &mut ys);
        affine::channel_affine_backward(Form::Naive, &op, &xd, &md, &ad, &gd, &mut dx, &mut da, &mut db);
        for form in Form::available() {
            let (mut y, mut dx2, mut da2, mut db2) =
                (vec![f32::NAN; len], vec![f32::NAN; len], vec![f32::NAN; a.len()], vec![f32::NAN; a.len()]);
            affine::channel_affine(form, &op, x, &m, &a, &b, &mut y);
            affine::channel_affine_backward(form, &op, x, &m, &a, gy, &mut dx2, &mut da2, &mut db2);
            // gradients of tables are sums over all positions: what is left of one may be far below its terms
            let sums = |got: &[f32], want: &[f64]| error_by(1.0, &double(got), want);
            let e = [unit_error(&y, &ys), unit_error(&dx2, &dx), sums(&da2, &da), sums(&db2, &db)];
            assert!(e.iter().all(|&e| e < 2e-6), "{form:?} {e:?} {op:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn passes_meet_the_defining_loops(positions in 0usize..80, channels in 1usize..150, seed in 0u64..1000) {
        check_rows(positions, channels, seed);
    }

    #[test]
    fn maps_meet_the_defining_loops(
        instances in 0usize..4, (height, width) in (1usize..12, 1usize..12), channels in 1usize..90, kind in 0usize..3,
        shared in any::<bool>(), seed in 0u64..1000,
    ) {
        let shape = MapShape { instances, positions: height * width, channels };
        let cut = |limit: usize, i: u64| (seed.wrapping_mul(0x9E37_79B9 + i) >> 3) as usize % (limit + 1);
        let (top, left) = (cut(height, 1), cut(width, 2));
        let (bottom, right) = (top + cut(height - top, 3), left + cut(width - left, 4));
        let lengths: Vec<usize> = (0..instances as u64).map(|n| cut(height * width, 5 + n)).collect();
        let positions = [Positions::All, Positions::Box { width, top, left, bottom, right }, Positions::Prefix(&lengths)][kind];
        check_maps(shape, positions, shared, seed);
    }
}

#[test]
fn small_maps() {
    for channels in [1, 5, 16, 19, 35] {
        check_rows(3, channels, 1);
        check_maps(MapShape { instances: 2, positions: 6, channels }, Positions::All, false, 2);
        let window = Positions::Box { width: 3, top: 0, left: 1, bottom: 2, right: 3 };
        check_maps(MapShape { instances: 2, positions: 6, channels }, window, true, 3);
    }
}

#[test]
fn long_maps_are_merged_from_pieces() {
    check_maps(MapShape { instances: 2, positions: 3000, channels: 7 }, Positions::All, true, 5);
    let window = Positions::Box { width: 50, top: 3, left: 7, bottom: 60, right: 44 };
    check_maps(MapShape { instances: 1, positions: 3000, channels: 20 }, window, false, 6);
}

#[test]
fn a_large_mean_does_not_cancel() {
    let shape = MapShape { instances: 2, positions: 1500, channels: 19 };
    let x: Vec<f32> = noise(2 * shape.instance_len(), 3).iter().map(|v| 1e4 + 0.1 * v).collect();
    let (xd, tables) = (double(&x), 2 * shape.channels);
    let (mut mean, mut variance) = (vec![0.0; tables], vec![0.0; tables]);
    stats::instance_stats(Form::Naive, &xd, shape, Positions::All, &mut mean, &mut variance);
    for form in Form::available() {
        let (mut mean32, mut variance32) = (vec![0.0; tables], vec![0.0; tables]);
        stats::instance_stats(form, &x, shape, Positions::All, &mut mean32, &mut variance32);
        assert!(error(&mean32, &mean) < 1e-7, "{form:?}");
        // the plain loops round every distance to the mean's own rounding; the pieces do not
        let bound = if form == Form::Naive { 2e-4 } else { 2e-6 };
        assert!(error(&variance32, &variance) < bound, "{form:?}: {:e}", error(&variance32, &variance));
        // around any centre near it, the sums that the graph keeps are as good
        let xs = &x[..shape.instance_len()];
        let centre = &x[shape.channels..2 * shape.channels];
        let (mut one, mut two) = (vec![0.0; 19], vec![0.0; 19]);
        rows::centred_sums(form, xs, centre, &mut one, &mut two);
        let n = shape.positions as f64;
        let got: Vec<f64> = one.iter().zip(&two).map(|(one, two)| two / n - (one / n) * (one / n)).collect();
        assert!(error64(&got, &variance[..19]) < 1e-5, "{form:?}: {:e}", error64(&got, &variance[..19]));
    }
}

#[test]
fn nan_stays_in_its_channel_and_is_not_rectified() {
    for form in Form::available() {
        for channels in [1, 7, 16, 37, 64] {
            let bad = 2 * channels + channels / 2;
            let (mut x, ones) = (vec![-1f32; 5 * channels], vec![1f32; channels]);
            x[bad] = f32::NAN;
            let (mut y, zeros) = (vec![9f32; x.len()], vec![0f32; channels]);
            rows::activate(form, &x, &ones, &zeros, Activation::QuickGelu, &mut y);
            assert!(y.iter().enumerate().all(|(i, v)| v.is_nan() == (i == bad)), "{form:?} gelu: {y:?}");
            // with the slope below 0
            for (activation, slope) in [(Activation::Relu, 0.), (Activation::Relu6, 0.), (Activation::LeakyRelu(0.1), 0.1)] {
                rows::activate(form, &x, &ones, &zeros, activation, &mut y);
                let only = |y: &[f32]| y.iter().enumerate().all(|(i, v)| if i == bad { v.is_nan() } else { *v == -slope });
                assert!(only(&y), "{form:?} activate: {y:?}");
                // the rectifier's gradient passes where the input is NaN, as the value did
                let mut g = vec![3f32; x.len()];
                rows::activate_backward(form, &mut g, &x, &ones, &zeros, activation);
                assert!(
                    g.iter().enumerate().all(|(i, &g)| g == if i == bad { 3.0 } else { 3.0 * slope }),
                    "{form:?} activate_backward: {g:?}"
                );
            }
            let (mut mean, mut variance) = (vec![0f32; channels], vec![0f32; channels]);
            let shape = MapShape { instances: 1, positions: 5, channels };
            stats::instance_stats(form, &x, shape, Positions::All, &mut mean, &mut variance);
            for c in 0..channels {
                assert_eq!((mean[c].is_nan(), variance[c].is_nan()), (c == channels / 2, c == channels / 2), "{form:?}");
            }
        }
    }
}

#[test]
fn gradients_meet_finite_differences() {
    let shape = MapShape { instances: 2, positions: 6, channels: 3 };
    let (x, t1, t2) = (double(&noise(36, 1)), double(&noise(6, 2)), double(&noise(6, 3)));
    for positions in [Positions::All, Positions::Prefix(&[4, 2])] {
        let loss = |x: &[f64]| {
            let (mut mean, mut variance) = (vec![0.0; 6], vec![0.0; 6]);
            stats::instance_stats(Form::Naive, x, shape, positions, &mut mean, &mut variance);
            (0..6).map(|i| t1[i] * mean[i] + t2[i] * variance[i]).sum::<f64>()
        };
        let (mut mean, mut variance, mut dx) = (vec![0.0; 6], vec![0.0; 6], vec![0.0; 36]);
        stats::instance_stats(Form::Naive, &x, shape, positions, &mut mean, &mut variance);
        stats::instance_stats_backward(Form::Naive, &x, shape, positions, &mean, &t1, &t2, &mut dx);
        gradient_check(&x, &dx, loss);
        let op = Affine { shape, positions, outside: Outside::Keep, rows: 1 };
        let (m, a, b, gy) = (double(&noise(3, 4)), double(&noise(3, 5)), double(&noise(3, 6)), double(&noise(36, 7)));
        let loss = |x: &[f64], a: &[f64], b: &[f64]| {
            let mut y = vec![0.0; 36];
            affine::channel_affine(Form::Naive, &op, x, &m, a, b, &mut y);
            y.iter().zip(&gy).map(|(y, g)| y * g).sum::<f64>()
        };
        let (mut dx, mut da, mut db) = (vec![0.0; 36], vec![0.0; 3], vec![0.0; 3]);
        affine::channel_affine_backward(Form::Naive, &op, &x, &m, &a, &gy, &mut dx, &mut da, &mut db);
        gradient_check(&x, &dx, |x| loss(x, &a, &b));
        gradient_check(&a, &da, |a| loss(&x, a, &b));
        gradient_check(&b, &db, |b| loss(&x, &a, b));
    }
}

#[test]
fn threads_change_nothing() {
    let shape = MapShape { instances: 7, positions: 90, channels: 19 };
    let len = 7 * shape.instance_len();
    let (x, gy, t) = (noise(len, 1), noise(len, 2), noise(7 * 19, 3));
    threads_agree(|| {
        let (mut mean, mut variance, mut dx) = (vec![0f32; 7 * 19], vec![0f32; 7 * 19], vec![0f32; len]);
        stats::instance_stats(Form::current(), &x, shape, Positions::All, &mut mean, &mut variance);
        stats::instance_stats_backward(Form::current(), &x, shape, Positions::All, &mean, &t, &t, &mut dx);
        let op = Affine { shape, positions: Positions::All, outside: Outside::Keep, rows: 1 };
        let (mut y, mut dx2, mut da, mut db) = (vec![0f32; len], vec![0f32; len], vec![0f32; 19], vec![0f32; 19]);
        affine::channel_affine(Form::current(), &op, &x, &t[..19], &t[19..38], &t[38..57], &mut y);
        affine::channel_affine_backward(Form::current(), &op, &x, &t[..19], &t[19..38], &gy, &mut dx2, &mut da, &mut db);
        [mean, variance, dx, y, dx2, da, db].concat()
    });
}

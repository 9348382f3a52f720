//! Matching by rank in every form, against its definition.

use crate::common::{double, error, gradient_check, noise};
use sncn_kernels::ranks::{Ranked, ranked_backward, ranked_forward};
use sncn_kernels::simd::Form;

const PARTNER: [usize; 4] = [2, 2, 0, 3];
const SHARE: [f32; 4] = [0.25, 1., 0.7, 0.];

/// Short and long instances, of the same length and of others.
const LENGTHS: [[usize; 4]; 3] = [[5, 5, 5, 5], [300, 300, 300, 300], [7, 130, 201, 1]];

fn ranked<'a>(lengths: &'a [usize; 4], channels: usize) -> Ranked<'a> {
    Ranked { lengths, channels, partner: &PARTNER, share: &SHARE }
}

/// y = x + s·(q(x) − own): with `own` = x the result, with `own` fixed what is differentiated.
fn definition(of: Ranked<'_>, x: &[f64], own: &[f64]) -> Vec<f64> {
    let (mut y, c) = (x.to_vec(), of.channels);
    let start = |n: usize| of.lengths[..n].iter().sum::<usize>();
    let order = |n: usize, channel: usize| {
        let mut rows: Vec<usize> = (start(n)..start(n) + of.lengths[n]).collect();
        rows.sort_by(|a, b| (own[a * c + channel] + 0.).total_cmp(&(own[b * c + channel] + 0.)));
        rows
    };
    for n in 0..of.lengths.len() {
        for channel in 0..c {
            let theirs = order(of.partner[n], channel);
            for (rank, row) in order(n, channel).into_iter().enumerate() {
                let quantile = (rank as f64 + 0.5) / of.lengths[n] as f64;
                let from = theirs[(quantile * theirs.len() as f64 + 1e-9) as usize];
                let at = row * c + channel;
                y[at] = x[at] + f64::from(of.share[n]) * (x[from * c + channel] - own[at]);
            }
        }
    }
    y
}

#[test]
fn every_form_matches_by_rank() {
    for lengths in &LENGTHS {
        for channels in [1, 3, 17] {
            let of = ranked(lengths, channels);
            let mut xs = noise(lengths.iter().sum::<usize>() * channels, 3);
            // equal values, zeros of both signs, infinities
            xs.iter_mut().step_by(3).for_each(|x| *x = (*x * 4.).round() / 4.);
            let last = xs.len() - 1;
            (xs[last], xs[last / 2]) = (f32::INFINITY, f32::NEG_INFINITY);
            if lengths[0] == 5 {
                (xs[last], xs[last / 2]) = (0., -0.);
            }
            let want = definition(of, &double(&xs), &double(&xs));
            for form in Form::available() {
                let mut ys = vec![f32::NAN; xs.len()];
                let order = ranked_forward(form, of, &xs, &mut ys);
                assert!(error(&ys, &want) < 1e-6, "{form:?}, {lengths:?}, {channels} channels");
                assert_eq!(order, ranked_forward(Form::Naive, of, &xs, &mut ys), "{form:?}, {lengths:?}");
            }
        }
    }
}

#[test]
fn the_partners_values_get_their_gradient() {
    for lengths in [[4, 4, 4, 4], [3, 6, 5, 1]] {
        let of = ranked(&lengths, 2);
        let len = lengths.iter().sum::<usize>() * 2;
        let (xs, gy) = (noise(len, 5), noise(len, 6));
        let (mut ys, mut gx) = (vec![0.; len], vec![f32::NAN; len]);
        let order = ranked_forward(Form::current(), of, &xs, &mut ys);
        ranked_backward(of, &order, &gy, &mut gx);
        let (own, gy) = (double(&xs), double(&gy));
        let loss = |x: &[f64]| definition(of, x, &own).iter().zip(&gy).map(|(y, g)| y * g).sum::<f64>();
        gradient_check(&own, &double(&gx), loss);
    }
}

#[test]
fn values_that_are_no_numbers_have_a_rank() {
    let of = Ranked { lengths: &[3, 3], channels: 1, partner: &[1, 0], share: &[1., 1.] };
    for form in Form::available() {
        let mut ys = [0.; 6];
        ranked_forward(form, of, &[1., f32::NAN, -1., 5., 7., 6.], &mut ys);
        // NaN ranks above all, and what is mixed with it is NaN
        assert!(ys[1].is_nan() && ys[4].is_nan(), "{form:?}: {ys:?}");
        assert_eq!([ys[0], ys[2], ys[3], ys[5]], [6., 5., -1., 1.], "{form:?}");
    }
}

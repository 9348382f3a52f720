//! Attention: every form against plain loops in double precision, those against finite differences, sequences apart.
#![allow(clippy::unwrap_used, reason = "tests may stop at the first surprise")]

use crate::common::{double, error, gradient_check, noise, threads_agree};
use proptest::prelude::*;
use sncn_kernels::attention::{
    AttentionShape, attention_backward, attention_backward_naive, attention_forward, attention_forward_naive,
};
use sncn_kernels::simd::Form;

/// Drops a third of the weights, by their place.
fn thin<T: sncn_kernels::real::Real>(n: usize, values: &mut [T]) {
    for (i, value) in values.iter_mut().enumerate() {
        *value = if (i * 7 + n).is_multiple_of(3) { T::ZERO } else { *value * T::from_f64(1.5) };
    }
}

/// y, dq, dk and dv in double precision, sequence by sequence.
fn plain(s: &AttentionShape<'_>, [q, k, v, gy]: [&[f64]; 4], dropped: bool) -> [Vec<f64>; 4] {
    let mut all = [0; 4].map(|_| Vec::new());
    let mut start = 0;
    for (n, &len) in s.lengths.iter().enumerate() {
        let at = start..start + len * s.width;
        start = at.end;
        let mut weights = vec![0.; s.heads * len * len];
        let mut out = [0; 4].map(|_| vec![0.; len * s.width]);
        attention_forward_naive(s, len, [&q[at.clone()], &k[at.clone()], &v[at.clone()]], &mut weights, &mut out[0]);
        if dropped {
            // Σ over the keys of the thinned weights, by the definition
            let mut used = weights.clone();
            thin(n, &mut used);
            let size = s.width / s.heads;
            out[0].fill(0.);
            for (pair, weight) in used.iter().enumerate() {
                let (h, i, j) = (pair / (len * len), pair / len % len, pair % len);
                for c in h * size..(h + 1) * size {
                    out[0][i * s.width + c] += weight * v[at.start + j * s.width + c];
                }
            }
        }
        let [_, dq, dk, dv] = &mut out;
        let maps = [&q[at.clone()], &k[at.clone()], &v[at.clone()], &gy[at]];
        let change = |values: &mut [f64]| {
            if dropped {
                thin(n, values)
            }
        };
        attention_backward_naive(s, len, maps, &weights, &change, [dq, dk, dv]);
        all.iter_mut().zip(out).for_each(|(all, out)| all.extend(out));
    }
    all
}

fn by(form: Form, s: &AttentionShape<'_>, [q, k, v, gy]: [&[f32]; 4], dropped: bool) -> [Vec<f32>; 4] {
    let thin = |n: usize, values: &mut [f32]| thin(n, values);
    let drop: Option<sncn_kernels::attention::DropWeights<'_>> = if dropped { Some(&thin) } else { None };
    let (mut weights, mut y) = (vec![f32::NAN; s.weights_len()], vec![f32::NAN; s.map_len()]);
    attention_forward(form, s, q, k, v, drop, &mut weights, &mut y);
    let [mut dq, mut dk, mut dv] = [0; 3].map(|_| vec![f32::NAN; s.map_len()]);
    attention_backward(form, s, [q, k, v], &weights, drop, gy, [&mut dq, &mut dk, &mut dv]);
    [y, dq, dk, dv]
}

fn check(lengths: &[usize], heads: usize, size: usize, seed: u64, scale: f32) {
    let s = AttentionShape { lengths, heads, width: heads * size };
    // one element off, so that rows begin where no cache line does
    let maps: Vec<Vec<f32>> = (0..4).map(|i| noise(1 + s.map_len(), seed + i).iter().map(|x| x * scale).collect()).collect();
    let single = [0, 1, 2, 3].map(|i| &maps[i][1..]);
    let doubled = single.map(double);
    let largest = |i: usize| doubled[i].iter().fold(0f64, |most, v| most.max(v.abs()));
    for dropped in [false, true] {
        let want = plain(&s, [0, 1, 2, 3].map(|i| &doubled[i][..]), dropped);
        for form in Form::available() {
            let got = by(form, &s, single, dropped);
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                // softmax's gradient is a difference of Σ gy·v, which f32 rounds: dq and dk are also measured against what is rounded
                let terms = [0., largest(2) * largest(3) * largest(1), largest(2) * largest(3) * largest(0), 0.][i];
                let rounding = 16. * f64::from(f32::EPSILON) * terms * (size as f64).sqrt();
                let most = want.iter().fold(1e-30f64, |most, v| most.max(v.abs()));
                let apart = error(got, want);
                assert!(
                    apart < 2e-5 + rounding / most,
                    "{form:?}, {lengths:?}, {heads} heads of {size}, map {i}, dropped {dropped}: {apart:e}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_form_meets_the_plain_loops(
        lengths in prop::collection::vec(0usize..40, 0..4), heads in 1usize..5, size in 1usize..40, seed in 0u64..1000,
    ) {
        check(&lengths, heads, size, seed, 2.);
    }
}

#[test]
fn corner_lengths() {
    check(&[1], 1, 1, 3, 1.);
    check(&[129, 0, 1, 64], 2, 64, 4, 1.);
    check(&[70], 3, 17, 5, 12.);
}

#[test]
fn the_plain_gradients_are_slopes() {
    for dropped in [false, true] {
        let s = AttentionShape { lengths: &[3, 4], heads: 2, width: 6 };
        let maps: Vec<Vec<f64>> = (0..4).map(|i| double(&noise(s.map_len(), 20 + i))).collect();
        let [_, dq, dk, dv] = plain(&s, [0, 1, 2, 3].map(|i| &maps[i][..]), dropped);
        for (i, gradient) in [dq, dk, dv].iter().enumerate() {
            gradient_check(&maps[i], gradient, |x| {
                let mut moved = maps.clone();
                moved[i] = x.to_vec();
                let [y, ..] = plain(&s, [0, 1, 2, 3].map(|i| &moved[i][..]), dropped);
                y.iter().zip(&maps[3]).map(|(y, g)| y * g).sum()
            });
        }
    }
}

#[test]
fn threads_and_neighbours_change_nothing() {
    let s = AttentionShape { lengths: &[17, 5, 33], heads: 2, width: 24 };
    let maps: Vec<Vec<f32>> = (0..4).map(|i| noise(s.map_len(), 40 + i)).collect();
    let all = [0, 1, 2, 3].map(|i| &maps[i][..]);
    threads_agree(|| by(Form::current(), &s, all, true).concat());
    let alone = by(Form::current(), &AttentionShape { lengths: &[17], ..s }, all.map(|map| &map[..17 * 24]), false);
    let together = by(Form::current(), &s, all, false);
    assert!(alone.iter().zip(&together).all(|(alone, together)| alone[..] == together[..alone.len()]));
}

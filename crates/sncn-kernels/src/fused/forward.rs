//! The convolution and its input gradient: the same work, from x to y or from gy to dx.

use super::direct::Direct;
use super::pack::PackedWeight;
use super::plan::{Algorithm, Direction, Plan, Unit};
use super::stage::stage_all;
use super::winograd::Winograd;
use crate::bf16::round;
use crate::conv::{ConvShape, conv2d_forward_naive, conv2d_input_gradient_naive};
use crate::pairs::Round;
use crate::scratch::Scratch;
use crate::simd::Form;
use rayon::prelude::*;
use std::ops::Range;

/// `out` (n, ho, wo, c_out) = x ∗ weight, with x given row by row by `stage`.
///
/// `stage(n, row, values)` writes row `row` of image `n`; `finish(n, rows, values)` is called once for every band.
///
/// # Panics
/// Where `out` or the weight does not fit the shape.
pub fn conv_forward<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, out: &mut [f32])
where
    S: Fn(usize, usize, &mut [f32]) + Sync,
    F: Fn(usize, Range<usize>, &mut [f32]) + Sync,
{
    assert!(weight.direction == Direction::Forward, "conv_forward: the weight is packed for the input gradient");
    convolve(shape, weight, stage, finish, out);
}

/// `dx` (n, h, w, c_in), with gy given row by row by `stage`; otherwise as [`conv_forward`].
///
/// # Panics
/// Where `dx` or the weight does not fit the shape.
pub fn conv_input_gradient<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, dx: &mut [f32])
where
    S: Fn(usize, usize, &mut [f32]) + Sync,
    F: Fn(usize, Range<usize>, &mut [f32]) + Sync,
{
    assert!(weight.direction == Direction::InputGradient, "conv_input_gradient: the weight is packed for the forward pass");
    convolve(shape, weight, stage, finish, dx);
}

fn convolve<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, out: &mut [f32])
where
    S: Fn(usize, usize, &mut [f32]) + Sync,
    F: Fn(usize, Range<usize>, &mut [f32]) + Sync,
{
    weight.check(shape);
    let plan = Plan::new(shape, weight.direction, weight.algorithm);
    let target = plan.target;
    assert_eq!(out.len(), shape.n * target.len(), "convolution: output length");
    if out.is_empty() {
        return;
    }
    if plan.source.len() == 0 {
        out.fill(0.0);
        out.chunks_exact_mut(target.len()).enumerate().for_each(|(n, y)| finish(n, 0..target.h, y));
        return;
    }
    if weight.form == Form::Naive {
        let mut source = stage_all(plan.source, shape.n, stage);
        if weight.paired() {
            source.iter_mut().for_each(|x| *x = round(*x));
        }
        match weight.direction {
            Direction::Forward => conv2d_forward_naive(&source, &weight.plain, None, shape, out),
            Direction::InputGradient => conv2d_input_gradient_naive(&source, &weight.plain, shape, out),
        }
        out.chunks_exact_mut(target.len()).enumerate().for_each(|(n, y)| finish(n, 0..target.h, y));
        return;
    }
    let (map, channels, plan) = (plan.source, plan.group().0, weight.staged(&plan));
    let pairs = |n: usize, row: usize, pairs: &mut [f32]| {
        let mut values = Scratch::take(map.row());
        stage(n, row, &mut values);
        weight.form.run_pairs(Round { from: &values, channels, pairs });
    };
    let units = plan.units();
    let mut jobs = Vec::with_capacity(units.len());
    let mut rest = out;
    for unit in &units {
        let (part, after) = rest.split_at_mut(unit.images.len() * unit.rows.len() * target.row());
        jobs.push((unit, part));
        rest = after;
    }
    jobs.into_par_iter().for_each_init(
        || (Direct::new(), Winograd::new()),
        |(direct, winograd), (unit, y): (&Unit, &mut [f32])| {
            let window = plan.window(&unit.rows);
            let size = window.rows * window.width * plan.source.c;
            let mut source = Scratch::take(unit.images.len() * size);
            weight.form.enter(|| {
                for (n, source) in unit.images.clone().zip(source.chunks_exact_mut(size.max(1))) {
                    if weight.paired() {
                        plan.fill(&window, n, &pairs, source);
                    } else {
                        plan.fill(&window, n, stage, source);
                    }
                }
            });
            match weight.algorithm {
                Algorithm::Direct => direct.unit(&plan, weight, unit, &window, &source, y),
                Algorithm::Winograd => winograd.unit(&plan, weight, unit, &window, &source, y),
            }
            weight.form.enter(|| {
                for (n, y) in unit.images.clone().zip(y.chunks_exact_mut(unit.rows.len() * target.row())) {
                    finish(n, unit.rows.clone(), y);
                }
            });
        },
    );
}

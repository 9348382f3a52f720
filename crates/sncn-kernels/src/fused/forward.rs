//! The convolution and its input gradient, which is the same computation from gy to dx.

use super::depthwise;
use super::direct::Direct;
use super::pack::PackedWeight;
use super::plan::{Algorithm, Direction, Plan, Unit};
use super::source::Source;
use super::stage::{from_unit, stage_all};
use super::winograd::Winograd;
use crate::bf16::round;
use crate::conv::{ConvShape, naive};
use crate::pairs::Round;
use crate::scratch::Scratch;
use crate::simd::Form;
use rayon::prelude::*;
use std::ops::Range;

/// Computes the convolution of x, whose rows `stage(n, row, values)` writes, with the weight: (n, ho, wo, c_out). `finish(n, rows,
/// values)` is called once for every band of output rows.
///
/// # Panics
/// Panics where `out` has another length, or the weight was packed for another convolution or direction.
pub fn conv_forward<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, out: &mut [f32])
where
    S: Source,
    F: Fn(usize, Range<usize>, &mut [f32]) + Sync,
{
    assert!(weight.direction == Direction::Forward, "conv_forward: the weight is packed for the input gradient");
    convolve(shape, weight, stage, finish, out);
}

/// Computes the gradient of x, (n, h, w, c_in), from gy, whose rows `stage` writes; `finish` is called once for every band of rows of
/// `dx`.
///
/// # Panics
/// As [`conv_forward`].
pub fn conv_input_gradient<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, dx: &mut [f32])
where
    S: Source,
    F: Fn(usize, Range<usize>, &mut [f32]) + Sync,
{
    assert!(weight.direction == Direction::InputGradient, "conv_input_gradient: the weight is packed for the forward pass");
    convolve(shape, weight, stage, finish, dx);
}

fn convolve<S, F>(shape: &ConvShape, weight: &PackedWeight, stage: &S, finish: &F, out: &mut [f32])
where
    S: Source,
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
            Direction::Forward => naive::forward(&source, &weight.plain, None, shape, out),
            Direction::InputGradient => naive::input_gradient(&source, &weight.plain, shape, out),
        }
        out.chunks_exact_mut(target.len()).enumerate().for_each(|(n, y)| finish(n, 0..target.h, y));
        return;
    }
    let (map, channels, plan) = (plan.source, plan.group().0, weight.staged(&plan));
    let pairs = |n: usize, row: usize, pairs: &mut [f32]| {
        let mut values = Scratch::take(map.row());
        stage.row(n, row, &mut values);
        weight.form.run_pairs(Round { from: &values, channels, pairs });
    };
    let units = plan.units();
    let in_place = stage.plain().filter(|_| weight.algorithm == Algorithm::Direct && shape.pointwise() && !weight.paired());
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
            let mut staged = Scratch::take(if in_place.is_some() { 0 } else { unit.images.len() * size });
            weight.form.enter(|| {
                for (n, staged) in unit.images.clone().zip(staged.chunks_exact_mut(size.max(1))) {
                    if weight.paired() {
                        plan.fill(&window, n, &pairs, staged);
                    } else {
                        plan.fill(&window, n, stage, staged);
                    }
                }
            });
            let source = in_place.map_or(&*staged, |maps| from_unit(maps, map, unit));
            match weight.algorithm {
                Algorithm::Direct => direct.unit(&plan, weight, unit, &window, source, y),
                Algorithm::Depthwise => depthwise::unit(&plan, weight, unit, &window, source, y),
                Algorithm::Winograd => winograd.unit(&plan, weight, unit, &window, source, y),
            }
            weight.form.enter(|| {
                for (n, y) in unit.images.clone().zip(y.chunks_exact_mut(unit.rows.len() * target.row())) {
                    finish(n, unit.rows.clone(), y);
                }
            });
        },
    );
}

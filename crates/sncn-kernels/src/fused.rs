//! Stub until the drivers land.
use crate::conv::{ConvShape, conv2d_forward, conv2d_input_gradient, conv2d_weight_gradient};
use rayon::prelude::*;
use std::ops::Range;

/// stub
pub fn conv_forward(
    s: &ConvShape,
    weight: &[f32],
    stage: &(impl Fn(usize, usize, &mut [f32]) + Sync),
    finish: &(impl Fn(usize, Range<usize>, &mut [f32]) + Sync),
    out: &mut [f32],
) {
    let one = ConvShape { n: 1, ..*s };
    let (ho, wo) = s.output();
    out.par_chunks_mut(ho * wo * s.c_out).enumerate().for_each(|(n, out)| {
        let mut x = vec![0.; s.h * s.w * s.c_in];
        x.chunks_exact_mut(s.w * s.c_in).enumerate().for_each(|(row, out)| stage(n, row, out));
        conv2d_forward(&x, weight, None, &one, out);
        finish(n, 0..ho, out);
    });
}
/// stub
pub fn conv_input_gradient(
    s: &ConvShape,
    weight: &[f32],
    stage: &(impl Fn(usize, usize, &mut [f32]) + Sync),
    finish: &(impl Fn(usize, Range<usize>, &mut [f32]) + Sync),
    dx: &mut [f32],
) {
    let one = ConvShape { n: 1, ..*s };
    let (ho, wo) = s.output();
    dx.par_chunks_mut(s.h * s.w * s.c_in).enumerate().for_each(|(n, dx)| {
        let mut gy = vec![0.; ho * wo * s.c_out];
        gy.chunks_exact_mut(wo * s.c_out).enumerate().for_each(|(row, out)| stage(n, row, out));
        conv2d_input_gradient(&gy, weight, &one, dx);
        finish(n, 0..s.h, dx);
    });
}
/// stub
pub fn conv_weight_gradient(
    s: &ConvShape,
    stage_x: &(impl Fn(usize, usize, &mut [f32]) + Sync),
    stage_gy: &(impl Fn(usize, usize, &mut [f32]) + Sync),
    dw: &mut [f32],
) {
    let (ho, wo) = s.output();
    let mut x = vec![0.; s.n * s.h * s.w * s.c_in];
    let mut gy = vec![0.; s.n * ho * wo * s.c_out];
    x.par_chunks_exact_mut(s.w * s.c_in).enumerate().for_each(|(i, out)| stage_x(i / s.h, i % s.h, out));
    gy.par_chunks_exact_mut(wo * s.c_out).enumerate().for_each(|(i, out)| stage_gy(i / ho, i % ho, out));
    conv2d_weight_gradient(&x, &gy, s, dw);
}

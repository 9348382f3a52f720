//! The convolution on `gemm`, for any element type: patches of a chunk of output positions are gathered and multiplied by the packed
//! weights. Images are independent; the weight gradient sums fixed parts of the batch in order.

use super::shape::ConvShape;
use crate::parts::in_parts;
use crate::real::{Real, Strided, fill_rows, matmul};
use rayon::prelude::*;
use std::ops::Range;

/// Bytes of gathered patches per thread.
const SCRATCH: usize = 256 * 1024;

impl ConvShape {
    fn chunk<T>(&self) -> usize {
        (SCRATCH / (self.depth() * size_of::<T>()).max(1)).clamp(1, self.positions().max(1))
    }

    fn scratch<T: Real>(&self) -> Vec<T> {
        if self.pointwise() { Vec::new() } else { vec![T::ZERO; self.chunk::<T>() * self.depth()] }
    }

    fn pieces<T>(&self) -> impl Iterator<Item = Range<usize>> + use<T> {
        let (total, chunk) = (self.positions(), self.chunk::<T>());
        (0..total).step_by(chunk).map(move |start| start..(start + chunk).min(total))
    }
}

/// (groups, kh·kw·c, o) from (o, c, kh, kw).
fn pack<T: Real>(weight: &[T], s: &ConvShape) -> Vec<T> {
    let mut packed = vec![T::ZERO; weight.len()];
    each_weight(s, |plain, at| packed[at] = weight[plain]);
    packed
}

fn each_weight(s: &ConvShape, mut visit: impl FnMut(usize, usize)) {
    let (ci, co, taps) = (s.group_in(), s.group_out(), s.kh * s.kw);
    for o in 0..s.c_out {
        let (g, local) = (o / co, o % co);
        for c in 0..ci {
            for t in 0..taps {
                visit((o * ci + c) * taps + t, (g * s.depth() + t * ci + c) * co + local);
            }
        }
    }
}

fn gather<T: Real>(image: &[T], s: &ConvShape, group: usize, range: Range<usize>, out: &mut [T]) {
    let (ci, width) = (s.group_in(), s.output().1);
    for (position, patch) in range.zip(out.chunks_exact_mut(s.depth())) {
        let at = (position / width, position % width);
        for ky in 0..s.kh {
            let row = &mut patch[ky * s.kw * ci..(ky + 1) * s.kw * ci];
            let ends = (s.tap(at, ky, 0), s.tap(at, ky, s.kw - 1));
            if let (Some(start), Some(_), 1, 1) = (ends.0, ends.1, s.groups, s.dilation) {
                row.copy_from_slice(&image[start..start + s.kw * ci]);
                continue;
            }
            for (kx, cell) in row.chunks_exact_mut(ci).enumerate() {
                match s.tap(at, ky, kx) {
                    Some(start) => cell.copy_from_slice(&image[start + group * ci..start + (group + 1) * ci]),
                    None => cell.fill(T::ZERO),
                }
            }
        }
    }
}

fn scatter<T: Real>(patches: &[T], s: &ConvShape, group: usize, range: Range<usize>, image: &mut [T]) {
    let (ci, width) = (s.group_in(), s.output().1);
    let mut add = |start: usize, values: &[T]| image[start..][..values.len()].iter_mut().zip(values).for_each(|(d, &v)| *d += v);
    for (position, patch) in range.zip(patches.chunks_exact(s.depth())) {
        let at = (position / width, position % width);
        for (ky, row) in patch.chunks_exact(s.kw * ci).enumerate() {
            let ends = (s.tap(at, ky, 0), s.tap(at, ky, s.kw - 1));
            if let (Some(start), Some(_), 1, 1) = (ends.0, ends.1, s.groups, s.dilation) {
                add(start, row);
                continue;
            }
            for (kx, cell) in row.chunks_exact(ci).enumerate() {
                if let Some(start) = s.tap(at, ky, kx) {
                    add(start + group * ci, cell);
                }
            }
        }
    }
}

/// The patches of `range`: gathered into `scratch`, or the image itself for a pointwise convolution.
fn patches<'a, T: Real>(
    image: &'a [T],
    s: &ConvShape,
    group: usize,
    range: Range<usize>,
    scratch: &'a mut [T],
) -> (&'a [T], usize) {
    if s.pointwise() {
        (&image[range.start * s.c_in + group * s.group_in()..], s.c_in)
    } else {
        let used = &mut scratch[..range.len() * s.depth()];
        gather(image, s, group, range, used);
        (used, s.depth())
    }
}

/// [`super::conv2d_forward`] on `gemm`.
pub(super) fn forward<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &ConvShape, out: &mut [T]) {
    if s.empty() {
        return;
    }
    let (packed, co, depth) = (pack(weight, s), s.group_out(), s.depth());
    let (size_in, size_out) = (s.h * s.w * s.c_in, s.positions() * s.c_out);
    out.par_chunks_mut(size_out).zip(x.par_chunks(size_in)).for_each_init(
        || s.scratch(),
        |scratch, (out, image)| {
            for range in s.pieces::<T>() {
                let out = &mut out[range.start * s.c_out..range.end * s.c_out];
                if let Some(bias) = bias {
                    fill_rows(out, bias);
                }
                for g in 0..s.groups {
                    let (data, row) = patches(image, s, g, range.clone(), scratch);
                    let b = Strided { data: &packed[g * depth * co..], row: co, column: 1 };
                    matmul(
                        (range.len(), co, depth),
                        Strided { data, row, column: 1 },
                        b,
                        &mut out[g * co..],
                        s.c_out,
                        bias.is_some(),
                    );
                }
            }
        },
    );
}

/// The convolution of `gy` that gives dx at stride 1: channels exchanged, kernel turned by 180°, padding completed.
fn turned<T: Real>(weight: &[T], s: &ConvShape) -> Option<(ConvShape, Vec<T>)> {
    let (ho, wo) = s.output();
    let rest = |k: usize, p: usize| (s.dilation * (k - 1)).checked_sub(p);
    let padding = (rest(s.kh, s.padding.0)?, rest(s.kw, s.padding.1)?);
    if s.stride != 1 || s.extra != (0, 0) {
        return None;
    }
    let (ci, co, taps) = (s.group_in(), s.group_out(), s.kh * s.kw);
    let mut turned = vec![T::ZERO; weight.len()];
    for (o, filter) in weight.chunks_exact(ci * taps).enumerate() {
        for (c, plane) in filter.chunks_exact(taps).enumerate() {
            for (t, &value) in plane.iter().enumerate() {
                turned[((o / co * ci + c) * co + o % co) * taps + taps - 1 - t] = value;
            }
        }
    }
    Some((ConvShape { h: ho, w: wo, c_in: s.c_out, c_out: s.c_in, padding, ..*s }, turned))
}

/// [`super::conv2d_input_gradient`] on `gemm`.
pub(super) fn input_gradient<T: Real>(gy: &[T], weight: &[T], s: &ConvShape, dx: &mut [T]) {
    if s.empty() {
        dx.fill(T::ZERO);
        return;
    }
    if let Some((shape, turned)) = turned(weight, s) {
        return forward(gy, &turned, None, &shape, dx);
    }
    dx.fill(T::ZERO);
    let (packed, co, ci, depth) = (pack(weight, s), s.group_out(), s.group_in(), s.depth());
    let (size_in, size_out) = (s.h * s.w * s.c_in, s.positions() * s.c_out);
    dx.par_chunks_mut(size_in).zip(gy.par_chunks(size_out)).for_each_init(
        || s.scratch::<T>(),
        |scratch, (dx, gy)| {
            for range in s.pieces::<T>() {
                for g in 0..s.groups {
                    let a = Strided { data: &gy[range.start * s.c_out + g * co..], row: s.c_out, column: 1 };
                    let b = Strided { data: &packed[g * depth * co..], row: 1, column: co };
                    let extents = (range.len(), depth, co);
                    if s.pointwise() {
                        matmul(extents, a, b, &mut dx[range.start * s.c_in + g * ci..], s.c_in, false);
                    } else {
                        matmul(extents, a, b, scratch, depth, false);
                        scatter(scratch, s, g, range.clone(), dx);
                    }
                }
            }
        },
    );
}

/// [`super::conv2d_weight_gradient`] on `gemm`.
pub(super) fn weight_gradient<T: Real>(x: &[T], gy: &[T], s: &ConvShape, dw: &mut [T]) {
    dw.fill(T::ZERO);
    if s.empty() {
        return;
    }
    let (co, depth) = (s.group_out(), s.depth());
    let (size_in, size_out) = (s.h * s.w * s.c_in, s.positions() * s.c_out);
    let sum = in_parts(s.n, dw.len(), |images, sum| {
        let mut scratch = s.scratch();
        for n in images {
            let (image, gy) = (&x[n * size_in..(n + 1) * size_in], &gy[n * size_out..(n + 1) * size_out]);
            for range in s.pieces::<T>() {
                for g in 0..s.groups {
                    let (data, row) = patches(image, s, g, range.clone(), &mut scratch);
                    let b = Strided { data: &gy[range.start * s.c_out + g * co..], row: s.c_out, column: 1 };
                    let a = Strided { data, row: 1, column: row };
                    matmul((depth, co, range.len()), a, b, &mut sum[g * depth * co..], co, true);
                }
            }
        }
    });
    each_weight(s, |plain, at| dw[plain] = sum[at]);
}

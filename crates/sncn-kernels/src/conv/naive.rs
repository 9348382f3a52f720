//! The convolution and its gradients as plain loops, for any element type: the reference implementation.

use super::shape::ConvShape;
use crate::real::{Real, fill_rows};

/// Calls `visit(input, weight, output)` with the three flat indices of every product of the convolution.
fn each_product(s: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let ((ho, wo), ci, co) = (s.output(), s.group_in(), s.group_out());
    for p in 0..s.n * ho * wo {
        let (n, at) = (p / (ho * wo), (p / wo % ho, p % wo));
        for (o, t) in (0..s.c_out).flat_map(|o| (0..s.kh * s.kw).map(move |t| (o, t))) {
            if let Some(start) = s.tap(at, t / s.kw, t % s.kw) {
                for c in 0..ci {
                    let input = n * s.h * s.w * s.c_in + start + o / co * ci + c;
                    visit(input, (o * ci + c) * s.kh * s.kw + t, p * s.c_out + o);
                }
            }
        }
    }
}

/// [`super::conv2d_forward`] as plain loops.
pub(crate) fn forward<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &ConvShape, out: &mut [T]) {
    match bias {
        Some(bias) => fill_rows(out, bias),
        None => out.fill(T::ZERO),
    }
    each_product(s, |i, w, o| out[o] += x[i] * weight[w]);
}

/// [`super::conv2d_input_gradient`] as plain loops.
pub(crate) fn input_gradient<T: Real>(gy: &[T], weight: &[T], s: &ConvShape, dx: &mut [T]) {
    dx.fill(T::ZERO);
    each_product(s, |i, w, o| dx[i] += gy[o] * weight[w]);
}

/// [`super::conv2d_weight_gradient`] as plain loops.
pub(crate) fn weight_gradient<T: Real>(x: &[T], gy: &[T], s: &ConvShape, dw: &mut [T]) {
    dw.fill(T::ZERO);
    each_product(s, |i, w, o| dw[w] += x[i] * gy[o]);
}

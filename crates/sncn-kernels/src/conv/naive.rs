//! The defining loops of the convolution and its gradients, for any element.

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

/// Direct loops: the reference of [`super::conv2d_forward`].
pub fn conv2d_forward_naive<T: Real>(x: &[T], weight: &[T], bias: Option<&[T]>, s: &ConvShape, out: &mut [T]) {
    match bias {
        Some(bias) => fill_rows(out, bias),
        None => out.fill(T::ZERO),
    }
    each_product(s, |i, w, o| out[o] += x[i] * weight[w]);
}

/// Direct loops: the reference of [`super::conv2d_input_gradient`].
pub fn conv2d_input_gradient_naive<T: Real>(gy: &[T], weight: &[T], s: &ConvShape, dx: &mut [T]) {
    dx.fill(T::ZERO);
    each_product(s, |i, w, o| dx[i] += gy[o] * weight[w]);
}

/// Direct loops: the reference of [`super::conv2d_weight_gradient`].
pub fn conv2d_weight_gradient_naive<T: Real>(x: &[T], gy: &[T], s: &ConvShape, dw: &mut [T]) {
    dw.fill(T::ZERO);
    each_product(s, |i, w, o| dw[w] += x[i] * gy[o]);
}

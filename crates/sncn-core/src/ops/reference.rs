//! Reference implementations of the operations in candle's operations: they run on every device, and tests compare the kernels with
//! them.
//!
//! Arguments were checked by the caller. Values and gradients are right for every size, stride, padding, dilation and number of
//! groups, in f32 and f64. candle's own `conv1d`, `conv2d`, pools, `upsample_*`, `relu` and `gelu_erf` are not used, since their
//! gradients are missing or wrong in some cases; those of what is used instead (`narrow`, `cat`, `index_select`, `matmul`, `where_cond`,
//! sums) are right. Constants have the type of the input, since not every device has f64.

use super::common::constants;
use candle_core::{Result, Tensor};
use sncn_kernels::conv::ConvShape;
use std::f64::consts::SQRT_2;

/// max(0, x) with derivative 0 at 0 (candle's has 1); NaN stays NaN.
pub(super) fn relu(xs: &Tensor) -> Result<Tensor> {
    xs.le(0.)?.where_cond(&xs.zeros_like()?, xs)
}

/// min(max(0, x), 6) with derivative 0 at both ends; NaN stays NaN.
pub(super) fn relu6(xs: &Tensor) -> Result<Tensor> {
    let ys = relu(xs)?;
    ys.ge(6.)?.where_cond(&(ys.zeros_like()? + 6.)?, &ys)
}

/// x above 0, slope·x elsewhere, with derivative `slope` at 0; NaN stays NaN.
pub(super) fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    xs.le(0.)?.where_cond(&(xs * slope)?, xs)
}

/// 1 / (1 + e⁻ˣ), computed from e^−|x|, so that neither the value nor the gradient overflows.
pub(super) fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    let negative = xs.lt(0.)?;
    let small = negative.where_cond(xs, &xs.neg()?)?.exp()?;
    negative.where_cond(&small, &small.ones_like()?)? / (small + 1.)?
}

/// x·sigmoid(1.702·x).
pub(super) fn quick_gelu(xs: &Tensor) -> Result<Tensor> {
    xs * sigmoid(&(xs * 1.702)?)?
}

/// ½·x·(1 + erf(x/√2)); the gradient of candle's `gelu_erf` has constants of six digits.
pub(super) fn gelu_erf(xs: &Tensor) -> Result<Tensor> {
    (xs * 0.5)? * ((xs / SQRT_2)?.erf()? + 1.)?
}

/// x (…, in) by weight (out, in), plus a bias (out).
pub(super) fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (c_out, c_in) = weight.dims2()?;
    let mut shape = xs.dims().to_vec();
    shape.pop();
    let rows = shape.iter().product::<usize>();
    shape.push(c_out);
    let ys = xs.reshape((rows, c_in))?.matmul(&weight.contiguous()?.t()?)?;
    bias.map_or_else(|| Ok(ys.clone()), |bias| ys.broadcast_add(bias))?.reshape(shape)
}

/// The windows of a convolution or pooling.
struct Windows {
    kernel: (usize, usize),
    stride: usize,
    dilation: usize,
    padding: (usize, usize),
    /// Further padding after the last row and column.
    extra: (usize, usize),
}

impl Windows {
    fn pool(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: (kernel, kernel), stride, dilation: 1, padding: (padding, padding), extra: (0, 0) }
    }

    /// The values that each tap of the window reads from xs (N, H, W, C) padded with `fill`: kh·kw maps (N, Ho, Wo, C), row by row.
    ///
    /// In cells of stride × stride positions, a tap reads the same position of consecutive cells, so the result is a view.
    fn taps(&self, xs: &Tensor, fill: f64) -> Result<Vec<Tensor>> {
        let Self { kernel: (kh, kw), stride, dilation, padding, extra } = *self;
        let (n, h, w, c) = xs.dims4()?;
        let (height, width) = (h + 2 * padding.0 + extra.0, w + 2 * padding.1 + extra.1);
        let output = |size: usize, k: usize| (size - dilation * (k - 1) - 1) / stride + 1;
        let (rows, columns) = (height.div_ceil(stride), width.div_ceil(stride));
        let (ho, wo) = (output(height, kh), output(width, kw));
        let xs = pad(xs, 1, padding.0, rows * stride - h - padding.0, fill)?;
        let xs = pad(&xs, 2, padding.1, columns * stride - w - padding.1, fill)?;
        let xs = xs.reshape((n, rows, stride, columns, stride, c))?;
        let tap = |y: usize, x: usize| {
            let xs = xs.narrow(1, y / stride, ho)?.narrow(2, y % stride, 1)?;
            xs.narrow(3, x / stride, wo)?.narrow(4, x % stride, 1)?.squeeze(4)?.squeeze(2)
        };
        (0..kh * kw).map(|at| tap(at / kw * dilation, at % kw * dilation)).collect()
    }
}

/// Pads an axis with `fill`.
fn pad(xs: &Tensor, dim: usize, before: usize, after: usize, fill: f64) -> Result<Tensor> {
    let strip = |len: usize| {
        let mut dims = xs.dims().to_vec();
        dims[dim] = len;
        Tensor::zeros(dims, xs.dtype(), xs.device())? + fill
    };
    let mut parts = vec![xs.clone()];
    if before > 0 {
        parts.insert(0, strip(before)?);
    }
    if after > 0 {
        parts.push(strip(after)?);
    }
    Tensor::cat(&parts, dim)
}

/// Convolution of xs (N, H, W, C) with weight (O, C / groups, kh, kw), plus a bias (O): the values that the taps read, concatenated, times
/// the weight as a matrix, for each group.
pub(super) fn conv(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: &ConvShape) -> Result<Tensor> {
    let (c_out, per_group, kh, kw) = weight.dims4()?;
    let (groups, count) = (shape.groups, kh * kw);
    let ConvShape { stride, dilation, padding, extra, .. } = *shape;
    let windows = Windows { kernel: (kh, kw), stride, dilation, padding, extra };
    let taps = Tensor::stack(&windows.taps(xs, 0.)?, 3)?;
    let (n, ho, wo, _, _) = taps.dims5()?;
    let rows = n * ho * wo;
    let taps = taps.reshape((rows, count, groups, per_group))?.permute((2, 0, 1, 3))?;
    let weight = weight.reshape((groups, c_out / groups, per_group, count))?.permute((0, 3, 2, 1))?;
    let ys = taps
        .reshape((groups, rows, count * per_group))?
        .matmul(&weight.reshape((groups, count * per_group, c_out / groups))?)?
        .transpose(0, 1)?
        .reshape((n, ho, wo, c_out))?;
    bias.map_or_else(|| Ok(ys.clone()), |bias| ys.broadcast_add(bias))
}

/// Maxima of windows; padding is −∞. The first of equal maxima gets the gradient (where a window has −∞ only, that may be the padding),
/// and NaN is larger than any number.
pub(super) fn max_pool(xs: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let mut taps = Windows::pool(kernel, stride, padding).taps(xs, f64::NEG_INFINITY)?.into_iter();
    let Some(first) = taps.next() else { return Ok(xs.clone()) };
    taps.try_fold(first, |best, tap| (tap.gt(&best)? + tap.ne(&tap)?)?.where_cond(&tap, &best))
}

/// Means of windows.
pub(super) fn avg_pool(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let mut taps = Windows::pool(kernel, stride, 0).taps(xs, 0.)?.into_iter();
    let Some(first) = taps.next() else { return Ok(xs.clone()) };
    taps.try_fold(first, |sum, tap| sum + tap)? / (kernel * kernel) as f64
}

/// Means over all positions.
pub(super) fn global_avg(xs: &Tensor) -> Result<Tensor> {
    xs.mean((1, 2))
}

/// Resizes xs (N, H, W, C), one axis after the other.
pub(super) fn resize(xs: &Tensor, (height, width): (usize, usize), bilinear: bool) -> Result<Tensor> {
    let along = if bilinear { interpolate } else { nearest };
    along(&along(&xs.contiguous()?, 1, height)?, 2, width)
}

/// The value at ⌊i·from/to⌋.
fn nearest(xs: &Tensor, dim: usize, to: usize) -> Result<Tensor> {
    let from = xs.dim(dim)?;
    xs.index_select(&Tensor::from_iter((0..to).map(|i| (i * from / to) as u32), xs.device())?, dim)
}

/// (1 − t)·x[⌊s⌋] + t·x[⌊s⌋ + 1] at s = max(0, (i + ½)·from/to − ½), where t is the fractional part of s.
fn interpolate(xs: &Tensor, dim: usize, to: usize) -> Result<Tensor> {
    let from = xs.dim(dim)?;
    let (mut low, mut high, mut fractions) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..to {
        let source = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.);
        let at = (source as usize).min(from - 1);
        let after = if at + 1 < from { source - at as f64 } else { 0. };
        low.push(at as u32);
        high.push(if after > 0. { at + 1 } else { at } as u32); // a neighbour of weight 0 is not read, since its value may be infinite
        fractions.push(after);
    }
    let mut shape = vec![1; xs.rank()];
    shape[dim] = to;
    let fractions = constants(fractions, xs)?.reshape(shape)?;
    let select = |rows: Vec<u32>| xs.index_select(&Tensor::new(rows, xs.device())?, dim);
    select(low)?.broadcast_mul(&fractions.affine(-1., 1.)?)? + select(high)?.broadcast_mul(&fractions)?
}

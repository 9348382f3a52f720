//! Channels-last pooling: max, average, global average.

use super::common::{by_dtype, elements, has_kernel};
use super::reference;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType, bail};
use sncn_kernels::pool::{self, PoolShape};
use sncn_kernels::simd::Form;

#[derive(Clone, Copy)]
enum Kind {
    Max,
    Average,
    Global,
}

#[derive(Clone, Copy)]
struct Pool(Kind, PoolShape);
struct PoolGradient(Pool);

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self(kind, p) = self;
        let (ho, wo) = if matches!(kind, Kind::Global) { (1, 1) } else { p.output() };
        let shape: Shape = if matches!(kind, Kind::Global) { (p.n, p.c).into() } else { (p.n, ho, wo, p.c).into() };
        by_dtype!("pool", s, T => {
            let x = elements::<T>("pool", s, l)?;
            let mut out = vec![T::default(); p.n * ho * wo * p.c];
            match kind {
                Kind::Max => pool::max_pool_forward(Form::current(), x, p, &mut out, &mut vec![0; p.n * ho * wo * p.c]),
                Kind::Average => pool::avg_pool_forward(Form::current(), x, p, &mut out),
                Kind::Global => pool::global_avg_forward(Form::current(), x, p.h * p.w, p.c, &mut out),
            }
            Ok((T::to_cpu_storage_owned(out), shape))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&gy.contiguous()?, &PoolGradient(*self))?))
    }
}

impl CustomOp2 for PoolGradient {
    fn name(&self) -> &'static str {
        "pool-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let Pool(kind, p) = &self.0;
        by_dtype!("pool", s1, T => {
            let (x, gy) = (elements::<T>("pool", s1, l1)?, elements::<T>("pool", s2, l2)?);
            let mut dx = vec![T::default(); x.len()];
            match kind {
                Kind::Max => {
                    let (mut y, mut argmax) = (vec![T::default(); gy.len()], vec![0; gy.len()]);
                    pool::max_pool_forward(Form::current(), x, p, &mut y, &mut argmax);
                    pool::max_pool_backward(Form::current(), gy, &argmax, p, &mut dx);
                }
                Kind::Average => pool::avg_pool_backward(Form::current(), gy, p, &mut dx),
                Kind::Global => pool::global_avg_backward(Form::current(), gy, p.h * p.w, p.c, &mut dx),
            }
            Ok((T::to_cpu_storage_owned(dx), l1.shape().clone()))
        })
    }
}

/// The checked shape of a pooling of a map (N, H, W, C).
pub(crate) fn pool_shape(
    (n, h, w, c): (usize, usize, usize, usize),
    (kernel, stride, padding): (usize, usize, usize),
) -> Result<PoolShape> {
    if kernel == 0 || stride == 0 || padding > kernel / 2 || h == 0 || w == 0 || c == 0 {
        bail!(
            "pool: input {n}x{h}x{w}x{c}, kernel {kernel}, stride {stride}, padding {padding}; all but padding must be at least 1, and padding at most kernel / 2"
        );
    }
    if kernel > h.min(w) + 2 * padding {
        bail!("pool: kernel {kernel} is larger than the padded input {h}x{w} + 2*{padding}; use a smaller kernel");
    }
    Ok(PoolShape { n, h, w, c, kernel, stride, padding })
}

fn apply(xs: &Tensor, kind: Kind, window: (usize, usize, usize)) -> Result<Tensor> {
    let Ok(dims) = xs.dims4() else {
        bail!("pool: got input {:?}; accepted: (N, H, W, C)", xs.dims());
    };
    let shape = pool_shape(dims, window)?;
    if has_kernel(xs) {
        return xs.contiguous()?.apply_op1(Pool(kind, shape));
    }
    let (kernel, stride, padding) = window;
    match kind {
        Kind::Max => reference::max_pool(xs, kernel, stride, padding),
        Kind::Average => reference::avg_pool(xs, kernel, stride),
        Kind::Global => reference::global_avg(xs),
    }
}

/// Computes the maxima of square windows of (N, H, W, C); padding is −∞, and the first of equal maxima gets the gradient.
///
/// # Errors
/// Returns an error where xs is not (N, H, W, C) or empty, the window is larger than the padded map, `padding` is larger than half of
/// the window, or `kernel` or `stride` is 0.
pub fn max_pool2d(xs: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    apply(xs, Kind::Max, (kernel, stride, padding))
}

/// Computes the means of square windows of (N, H, W, C), without padding; rows and columns that fill no window are dropped.
///
/// # Errors
/// As [`max_pool2d`].
pub fn avg_pool2d(xs: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    apply(xs, Kind::Average, (kernel, stride, 0))
}

/// Computes the mean over all positions: (N, H, W, C) to (N, C).
///
/// # Errors
/// Returns an error where xs is not (N, H, W, C), or is empty.
pub fn global_avg_pool(xs: &Tensor) -> Result<Tensor> {
    apply(xs, Kind::Global, (1, 1, 0))
}

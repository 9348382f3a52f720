//! Channels-last resizing.

use super::common::{by_dtype, elements, has_kernel};
use super::reference;
use crate::trace::{self, Operation};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, WithDType, bail};
use sncn_kernels::resize::{ResizeShape, resize_backward, resize_forward};
use sncn_kernels::simd::Form;

struct Resize(ResizeShape);
struct ResizeGradient(ResizeShape);

impl CustomOp1 for Resize {
    fn name(&self) -> &'static str {
        "resize"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let r = &self.0;
        by_dtype!("resize", s, T => {
            let mut out = vec![T::default(); r.n * r.ho * r.wo * r.c];
            resize_forward(Form::current(), elements::<T>("resize", s, l)?, r, &mut out);
            Ok((T::to_cpu_storage_owned(out), (r.n, r.ho, r.wo, r.c).into()))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(gy.contiguous()?.apply_op1_no_bwd(&ResizeGradient(self.0))?))
    }
}

impl CustomOp1 for ResizeGradient {
    fn name(&self) -> &'static str {
        "resize-gradient"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let r = &self.0;
        by_dtype!("resize", s, T => {
            let mut dx = vec![T::default(); r.n * r.h * r.w * r.c];
            resize_backward(Form::current(), elements::<T>("resize", s, l)?, r, &mut dx);
            Ok((T::to_cpu_storage_owned(dx), (r.n, r.h, r.w, r.c).into()))
        })
    }
}

/// The checked shape of a resize of a map (N, H, W, C).
pub(crate) fn resize_shape(
    (n, h, w, c): (usize, usize, usize, usize),
    (ho, wo): (usize, usize),
    bilinear: bool,
) -> Result<ResizeShape> {
    if h == 0 || w == 0 || ho == 0 || wo == 0 {
        bail!("resize: from {h}x{w} to {ho}x{wo}; every size must be at least 1");
    }
    Ok(ResizeShape { n, h, w, c, ho, wo, bilinear })
}

fn apply(xs: &Tensor, size: (usize, usize), bilinear: bool) -> Result<Tensor> {
    let Ok(dims) = xs.dims4() else {
        bail!("resize: got input {:?}; accepted: (N, H, W, C)", xs.dims());
    };
    let shape = resize_shape(dims, size, bilinear)?;
    if has_kernel(xs) { xs.contiguous()?.apply_op1(Resize(shape)) } else { reference::resize(xs, size, bilinear) }
}

/// Resizes (N, H, W, C) to (height, width) with bilinear interpolation; PyTorch's `interpolate` with `align_corners=False`, without
/// antialiasing.
///
/// # Errors
/// Returns an error where xs is not (N, H, W, C), or an old or new size is 0.
pub fn resize_bilinear(xs: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let ys = apply(xs, size, true)?;
    trace::note(|| Operation::Resize { rows: size.0, columns: size.1 }, &[xs], &ys);
    Ok(ys)
}

/// Resizes (N, H, W, C) to (height, width) with nearest neighbours: output i reads input ⌊i·in/out⌋.
///
/// # Errors
/// As [`resize_bilinear`].
pub fn resize_nearest(xs: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    apply(xs, size, false)
}

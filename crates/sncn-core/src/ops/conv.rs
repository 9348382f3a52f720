//! Channels-last convolutions; weights have PyTorch's shape (O, C / groups, kh, kw).

use super::common::{by_dtype, elements, has_kernel};
use super::reference;
use super::settings::Conv;
use super::weighted::{Argument, Gradients, Taped, Weighted};
use crate::trace::{self, Operation};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor, WithDType, bail};
use sncn_kernels::conv::{ConvShape, conv2d_forward, conv2d_input_gradient, conv2d_weight_gradient};
use sncn_kernels::fused::{PackedWeight, Precision, conv_forward, copy_rows, no_finish};
use sncn_kernels::simd::Form;

struct Forward(ConvShape);
struct Rounded(ConvShape);
struct InputGradient(ConvShape);
struct WeightGradient(ConvShape);

impl Weighted for Forward {
    const NAME: &'static str = "conv2d";

    fn run(&self, x: Argument<'_>, weight: Argument<'_>, bias: Option<Argument<'_>>) -> Result<(CpuStorage, Shape)> {
        let (ho, wo) = self.0.output();
        by_dtype!("conv2d", x.0, T => {
            let bias = bias.map(|b| elements::<T>("conv2d", b.0, b.1)).transpose()?;
            let mut out = vec![T::default(); self.0.n * ho * wo * self.0.c_out];
            let (x, weight) = (elements::<T>("conv2d", x.0, x.1)?, elements::<T>("conv2d", weight.0, weight.1)?);
            conv2d_forward(Form::current(), x, weight, bias, &self.0, &mut out);
            Ok((T::to_cpu_storage_owned(out), (self.0.n, ho, wo, self.0.c_out).into()))
        })
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, gy: &Tensor) -> Result<Gradients> {
        let dx = gy.apply_op2_no_bwd(weight, &InputGradient(self.0))?;
        let dw = x.apply_op2_no_bwd(gy, &WeightGradient(self.0))?;
        Ok((Some(dx), Some(dw)))
    }
}

impl CustomOp2 for Rounded {
    fn name(&self) -> &'static str {
        "conv2d-bf16"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let (s, (ho, wo)) = (&self.0, self.0.output());
        let (x, weight) = (elements::<f32>("conv2d", s1, l1)?, elements::<f32>("conv2d", s2, l2)?);
        let mut out = vec![0f32; s.n * ho * wo * s.c_out];
        conv_forward(s, &PackedWeight::bf16(s, weight), &copy_rows(x, s.h, s.w * s.c_in), &no_finish, &mut out);
        Ok((CpuStorage::F32(out), (s.n, ho, wo, s.c_out).into()))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d-input-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let s = &self.0;
        by_dtype!("conv2d", s1, T => {
            let mut dx = vec![T::default(); s.n * s.h * s.w * s.c_in];
            conv2d_input_gradient(Form::current(), elements::<T>("conv2d", s1, l1)?, elements::<T>("conv2d", s2, l2)?, s, &mut dx);
            Ok((T::to_cpu_storage_owned(dx), (s.n, s.h, s.w, s.c_in).into()))
        })
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv2d-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        let s = &self.0;
        let shape = (s.c_out, s.c_in / s.groups, s.kh, s.kw);
        by_dtype!("conv2d", s1, T => {
            let mut dw = vec![T::default(); shape.0 * shape.1 * shape.2 * shape.3];
            conv2d_weight_gradient(Form::current(), elements::<T>("conv2d", s1, l1)?, elements::<T>("conv2d", s2, l2)?, s, &mut dw);
            Ok((T::to_cpu_storage_owned(dw), shape.into()))
        })
    }
}

/// The checked shape of a convolution of a map (N, H, W, C).
pub(crate) fn conv_shape(
    (n, h, w, c_in): (usize, usize, usize, usize),
    weight: &Tensor,
    conv: &Conv,
    padding: (usize, usize),
) -> Result<ConvShape> {
    let Ok((c_out, per_group, kh, kw)) = weight.dims4() else {
        bail!("conv2d: got weight {:?}; accepted: (O, C / groups, kh, kw)", weight.dims());
    };
    let Conv { stride, dilation, groups, same, .. } = *conv;
    if stride == 0 || dilation == 0 || groups == 0 || kh == 0 || kw == 0 {
        bail!("conv2d: stride {stride}, dilation {dilation}, groups {groups}, kernel {kh}x{kw}: each must be at least 1");
    }
    if c_in % groups != 0 || c_out % groups != 0 || per_group * groups != c_in {
        bail!(
            "conv2d: {c_in} channels in, weight {:?}, {groups} groups; both channel counts must be multiples of groups, and weight dimension 1 must be channels / groups",
            weight.dims()
        );
    }
    if same && padding != (0, 0) {
        bail!("conv2d: padding {} together with `same`, which pads by itself: leave one of them out", conv.padding);
    }
    let [rows, columns] = match same {
        true => [conv.pads(h, kh), conv.pads(w, kw)],
        false => [(padding.0, padding.0), (padding.1, padding.1)],
    };
    let (padding, extra) = ((rows.0, columns.0), (rows.1 - rows.0, columns.1 - columns.0));
    for (axis, size, k, pad, extra) in [("height", h, kh, padding.0, extra.0), ("width", w, kw, padding.1, extra.1)] {
        if dilation * (k - 1) + 1 > size + 2 * pad + extra {
            bail!(
                "conv2d: kernel {k} with dilation {dilation} is larger than the padded {axis} {size} + 2*{pad}; use a larger input or more padding"
            );
        }
    }
    Ok(ConvShape { n, h, w, c_in, c_out, kh, kw, stride, padding, extra, dilation, groups })
}

fn apply(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv, padding: (usize, usize)) -> Result<Tensor> {
    let Ok(dims) = xs.dims4() else { bail!("conv2d: got input {:?}; accepted: (N, H, W, C)", xs.dims()) };
    let shape = conv_shape(dims, weight, conv, padding)?;
    let c_out = shape.c_out;
    if let Some(bias) = bias.filter(|bias| bias.dims() != [c_out]) {
        bail!("conv2d: bias {:?}; accepted: [{c_out}]", bias.dims())
    }
    if !has_kernel(xs) {
        return reference::conv(xs, weight, bias, &shape);
    }
    let (xs, weight, op) = (xs.contiguous()?, weight.contiguous()?, Taped(Forward(shape)));
    match bias {
        None => xs.apply_op2(&weight, op),
        Some(bias) => xs.apply_op3(&weight, &bias.contiguous()?, op),
    }
}

/// Convolves `xs` (N, H, W, C) with `weight` (O, C / groups, kh, kw) and adds `bias` (O): (N, Ho, Wo, O).
///
/// # Errors
/// Returns an error where xs, weight or bias has another shape, a channel count is not a multiple of the groups, a setting is 0, or
/// the dilated kernel is larger than the padded input.
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv) -> Result<Tensor> {
    apply(xs, weight, bias, conv, (conv.padding, conv.padding))
}

/// [`conv2d`] with input and weight rounded to `precision`, for inference: in bf16 it has no backward pass.
///
/// # Errors
/// As [`conv2d`]; also for bf16 with tensors that are not f32 on the CPU.
pub fn conv2d_with_precision(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    conv: &Conv,
    precision: Precision,
) -> Result<Tensor> {
    if precision == Precision::F32 {
        return conv2d(xs, weight, bias, conv);
    }
    if xs.dtype() != DType::F32 || !has_kernel(xs) {
        let forced = if crate::reference::is_forced() { " where reference implementations are forced" } else { "" };
        bail!("conv2d: bf16 is for f32 tensors on the CPU, not {:?} on {:?}{forced}", xs.dtype(), xs.device().location())
    }
    let shape = conv_shape(xs.dims4()?, weight, conv, (conv.padding, conv.padding))?;
    let ys = xs.contiguous()?.apply_op2(&weight.contiguous()?, Rounded(shape))?;
    bias.map_or_else(|| Ok(ys.clone()), |bias| ys.broadcast_add(bias))
}

/// Convolves `xs` (N, L, C) with `weight` (O, C / groups, k) and adds `bias` (O): (N, Lo, O).
///
/// # Errors
/// As [`conv2d`].
pub fn conv1d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, conv: &Conv) -> Result<Tensor> {
    if xs.rank() != 3 || weight.rank() != 3 {
        bail!("conv1d: got input {:?} and weight {:?}; accepted: (N, L, C) and (O, C / groups, k)", xs.dims(), weight.dims());
    }
    let ys = apply(&xs.unsqueeze(1)?, &weight.unsqueeze(2)?, bias, conv, (0, conv.padding))?.squeeze(1)?;
    let traced = || Operation::Convolution { weight: weight.clone(), bias: bias.cloned(), conv: *conv };
    trace::note(traced, &[xs], &ys);
    Ok(ys)
}

//! Linear layers, y = x·Wᵀ + b over the last dimension; the result does not depend on the number of threads.

use super::common::{by_dtype, elements, has_kernel};
use super::reference;
use super::weighted::{Argument, Gradients, Taped, Weighted};
use crate::trace::{self, Operation};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType, bail};
use sncn_kernels::linear::{LinearShape, linear_forward, linear_input_gradient, linear_weight_gradient};
use sncn_kernels::simd::Form;

struct Forward(LinearShape);
struct InputGradient(LinearShape);
struct WeightGradient(LinearShape);

impl Weighted for Forward {
    const NAME: &'static str = "linear";

    fn run(&self, x: Argument<'_>, weight: Argument<'_>, bias: Option<Argument<'_>>) -> Result<(CpuStorage, Shape)> {
        by_dtype!("linear", x.0, T => {
            let bias = bias.map(|b| elements::<T>("linear", b.0, b.1)).transpose()?;
            let mut out = vec![T::default(); self.0.rows * self.0.c_out];
            let (x, weight) = (elements::<T>("linear", x.0, x.1)?, elements::<T>("linear", weight.0, weight.1)?);
            linear_forward(Form::current(), x, weight, bias, &self.0, &mut out);
            Ok((T::to_cpu_storage_owned(out), (self.0.rows, self.0.c_out).into()))
        })
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, gy: &Tensor) -> Result<Gradients> {
        let dx = gy.apply_op2_no_bwd(weight, &InputGradient(self.0))?;
        Ok((Some(dx), Some(x.apply_op2_no_bwd(gy, &WeightGradient(self.0))?)))
    }
}

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "linear-input-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!("linear", s1, T => {
            let mut dx = vec![T::default(); self.0.rows * self.0.c_in];
            linear_input_gradient(Form::current(), elements::<T>("linear", s1, l1)?, elements::<T>("linear", s2, l2)?, &self.0, &mut dx);
            Ok((T::to_cpu_storage_owned(dx), (self.0.rows, self.0.c_in).into()))
        })
    }
}

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "linear-weight-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!("linear", s1, T => {
            let mut dw = vec![T::default(); self.0.c_out * self.0.c_in];
            linear_weight_gradient(Form::current(), elements::<T>("linear", s1, l1)?, elements::<T>("linear", s2, l2)?, &self.0, &mut dw);
            Ok((T::to_cpu_storage_owned(dw), (self.0.c_out, self.0.c_in).into()))
        })
    }
}

/// Multiplies `xs` (…, I) by the transpose of `weight` (O, I) and adds `bias` (O): (…, O).
///
/// # Errors
/// Returns an error where the last dimension of xs is not I, or weight or bias has another shape.
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (Ok((c_out, c_in)), Some((&last, leading))) = (weight.dims2(), xs.dims().split_last()) else {
        bail!("linear: got input {:?} and weight {:?}; accepted: (.., in) and (out, in)", xs.dims(), weight.dims());
    };
    if last != c_in {
        bail!("linear: input {:?} has {last} channels last; weight {:?} accepts {c_in}", xs.dims(), weight.dims());
    }
    if let Some(bias) = bias.filter(|bias| bias.dims() != [c_out]) {
        bail!("linear: bias {:?}; accepted: [{c_out}]", bias.dims())
    }
    if !has_kernel(xs) {
        let ys = reference::linear(xs, weight, bias)?;
        trace::note(|| Operation::Linear { weight: weight.clone(), bias: bias.cloned() }, &[xs], &ys);
        return Ok(ys);
    }
    let rows = leading.iter().product();
    let op = Taped(Forward(LinearShape { rows, c_in, c_out }));
    let (flat, weight) = (xs.contiguous()?.reshape((rows, c_in))?, weight.contiguous()?);
    let out = match bias {
        None => flat.apply_op2(&weight, op)?,
        Some(bias) => flat.apply_op3(&weight, &bias.contiguous()?, op)?,
    };
    let mut shape = leading.to_vec();
    shape.push(c_out);
    out.reshape(shape)
}

/// Concatenates tensors along the channels, the last dimension.
///
/// # Errors
/// Returns candle's error where another dimension differs.
pub fn concatenate(tensors: &[&Tensor]) -> Result<Tensor> {
    let Some(last) = tensors.first().and_then(|first| first.rank().checked_sub(1)) else { bail!("nothing to concatenate") };
    let joined = Tensor::cat(tensors, last)?;
    trace::note(|| Operation::Concatenate, tensors, &joined);
    Ok(joined)
}

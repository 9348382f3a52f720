//! Elementwise activations.

use super::common::{by_dtype, elements, has_kernel};
use super::reference;
use crate::trace::{self, Operation};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use sncn_kernels::gelu::{Gelu, gelu_backward, gelu_forward};
use sncn_kernels::real::{Real, map, zip};
use sncn_kernels::simd::Form;

#[derive(Clone, Copy)]
enum Activation {
    Relu,
    Relu6,
    LeakyRelu(f64),
    Gelu(Gelu),
    Sigmoid,
}

fn logistic(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

impl Activation {
    fn forward<T: Real>(self, x: &[T], out: &mut [T]) {
        match self {
            Self::Relu => map(x, out, |v| if v <= T::ZERO { T::ZERO } else { v }),
            Self::Relu6 => {
                let six = T::from_f64(6.);
                map(x, out, |v| match () {
                    () if v <= T::ZERO => T::ZERO,
                    () if v >= six => six,
                    () => v,
                });
            }
            Self::LeakyRelu(slope) => map(x, out, |v| if v <= T::ZERO { v * T::from_f64(slope) } else { v }),
            Self::Gelu(kind) => gelu_forward(Form::current(), kind, x, out),
            Self::Sigmoid => map(x, out, |v| T::from_f64(logistic(v.to_f64()))),
        }
    }

    fn backward<T: Real>(self, x: &[T], gy: &[T], dx: &mut [T]) {
        match self {
            Self::Relu => zip(x, gy, dx, |v, g| if v <= T::ZERO { T::ZERO } else { g }),
            Self::Relu6 => {
                let six = T::from_f64(6.);
                zip(x, gy, dx, |v, g| if v <= T::ZERO || v >= six { T::ZERO } else { g });
            }
            Self::LeakyRelu(slope) => zip(x, gy, dx, |v, g| if v <= T::ZERO { g * T::from_f64(slope) } else { g }),
            Self::Gelu(kind) => gelu_backward(Form::current(), kind, x, gy, dx),
            Self::Sigmoid => zip(x, gy, dx, |v, g| {
                let s = logistic(v.to_f64());
                T::from_f64(g.to_f64() * s * (1.0 - s))
            }),
        }
    }

    fn apply(self, xs: &Tensor) -> Result<Tensor> {
        if has_kernel(xs) {
            return xs.contiguous()?.apply_op1(self);
        }
        let (ys, traced) = match self {
            Self::Relu => (reference::relu(xs)?, Operation::Relu),
            Self::Relu6 => (reference::relu6(xs)?, Operation::Relu6),
            Self::LeakyRelu(slope) => (reference::leaky_relu(xs, slope)?, Operation::LeakyRelu(slope)),
            Self::Gelu(Gelu::Quick) => (reference::quick_gelu(xs)?, Operation::QuickGelu),
            Self::Gelu(Gelu::Erf) => (reference::gelu_erf(xs)?, Operation::GeluErf),
            Self::Sigmoid => (reference::sigmoid(xs)?, Operation::Sigmoid),
        };
        trace::note(|| traced, &[xs], &ys);
        Ok(ys)
    }
}

impl CustomOp1 for Activation {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!("activation", s, T => {
            let x = elements::<T>("activation", s, l)?;
            let mut out = vec![T::default(); x.len()];
            self.forward(x, &mut out);
            Ok((T::to_cpu_storage_owned(out), l.shape().clone()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(x.apply_op2_no_bwd(&gy.contiguous()?, &ActivationGradient(*self))?))
    }
}

struct ActivationGradient(Activation);

impl CustomOp2 for ActivationGradient {
    fn name(&self) -> &'static str {
        "activation-gradient"
    }

    fn cpu_fwd(&self, s1: &CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!("activation", s1, T => {
            let (x, gy) = (elements::<T>("activation", s1, l1)?, elements::<T>("activation", s2, l2)?);
            let mut dx = vec![T::default(); x.len()];
            self.0.backward(x, gy, &mut dx);
            Ok((T::to_cpu_storage_owned(dx), l1.shape().clone()))
        })
    }
}

/// Computes max(0, x), with derivative 0 at 0 (candle's `relu` has 1).
///
/// # Errors
/// Returns candle's error where the device does not support the operation, as all functions of this file do.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    Activation::Relu.apply(xs)
}

/// Computes ReLU6, min(max(0, x), 6) (Krizhevsky 2010), with derivative 0 at 0 and 6.
///
/// # Errors
/// As [`relu`].
pub fn relu6(xs: &Tensor) -> Result<Tensor> {
    Activation::Relu6.apply(xs)
}

/// Computes leaky ReLU, x above 0 and slope·x elsewhere (Maas, Hannun, Ng 2013), with derivative `slope` at 0.
///
/// # Errors
/// As [`relu`].
pub fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    Activation::LeakyRelu(slope).apply(xs)
}

/// Computes quick GELU, x·sigmoid(1.702·x), the sigmoid approximation of GELU (Hendrycks, Gimpel 2016, section 2).
///
/// # Errors
/// As [`relu`].
pub fn quick_gelu(xs: &Tensor) -> Result<Tensor> {
    Activation::Gelu(Gelu::Quick).apply(xs)
}

/// Computes GELU, x·Φ(x) = ½·x·(1 + erf(x/√2)) (Hendrycks, Gimpel 2016).
///
/// # Errors
/// As [`relu`].
pub fn gelu_erf(xs: &Tensor) -> Result<Tensor> {
    Activation::Gelu(Gelu::Erf).apply(xs)
}

/// Computes 1 / (1 + e⁻ˣ).
///
/// # Errors
/// As [`relu`].
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    Activation::Sigmoid.apply(xs)
}

/// Computes the hyperbolic tangent.
///
/// # Errors
/// As [`relu`].
pub fn tanh(xs: &Tensor) -> Result<Tensor> {
    let ys = xs.tanh()?;
    trace::note(|| Operation::Tanh, &[xs], &ys);
    Ok(ys)
}

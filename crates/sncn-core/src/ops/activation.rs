//! Element-wise activations; relu has derivative 0 at 0.

use super::{by_dtype, elements};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};
use sncn_kernels::real::{Real, map, zip};

#[derive(Clone, Copy)]
enum Activation {
    Relu,
    GeluSigmoid,
    GeluErf,
    Sigmoid,
}

fn logistic(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

fn normal_cdf(v: f64) -> f64 {
    0.5 * (1.0 + candle_core::cpu::erf::erf_f64(v * std::f64::consts::FRAC_1_SQRT_2))
}

impl Activation {
    fn forward<T: Real>(self, x: &[T], out: &mut [T]) {
        match self {
            Self::Relu => map(x, out, |v| if v <= T::ZERO { T::ZERO } else { v }),
            Self::GeluSigmoid => map(x, out, |v| T::real(v.double() * logistic(1.702 * v.double()))),
            Self::GeluErf => map(x, out, |v| T::real(v.double() * normal_cdf(v.double()))),
            Self::Sigmoid => map(x, out, |v| T::real(logistic(v.double()))),
        }
    }

    fn slope(self, v: f64) -> f64 {
        match self {
            Self::Relu => f64::from(u8::from(v > 0.0)),
            Self::GeluSigmoid => {
                let s = logistic(1.702 * v);
                s + 1.702 * v * s * (1.0 - s)
            }
            Self::GeluErf => normal_cdf(v) + v * (-0.5 * v * v).exp() / std::f64::consts::TAU.sqrt(),
            Self::Sigmoid => logistic(v) * (1.0 - logistic(v)),
        }
    }

    fn backward<T: Real>(self, x: &[T], gy: &[T], dx: &mut [T]) {
        match self {
            Self::Relu => zip(x, gy, dx, |v, g| if v <= T::ZERO { T::ZERO } else { g }),
            other => zip(x, gy, dx, |v, g| T::real(g.double() * other.slope(v.double()))),
        }
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
        Ok(Some(x.apply_op2_no_bwd(&gy.contiguous()?, &Slope(*self))?))
    }
}

struct Slope(Activation);

impl CustomOp2 for Slope {
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

/// max(0, x), derivative 0 at 0.
pub fn relu(xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Activation::Relu)
}

/// x·sigmoid(1.702·x), the logistic approximation of GELU (Hendrycks & Gimpel 2016).
pub fn gelu_sigmoid(xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Activation::GeluSigmoid)
}

/// x·Φ(x) = ½·x·(1 + erf(x/√2)) (Hendrycks & Gimpel 2016).
pub fn gelu_erf(xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Activation::GeluErf)
}

/// 1 / (1 + e⁻ˣ).
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    xs.contiguous()?.apply_op1(Activation::Sigmoid)
}

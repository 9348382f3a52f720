//! Mean cross-entropy of rows of logits with one label a row, as an operation that computes the loss and its gradient in one pass.

use super::common::elements;
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use sncn_kernels::cross_entropy::cross_entropy as pass;
use sncn_kernels::simd::Form;
use std::sync::{Mutex, PoisonError};

struct CrossEntropy {
    classes: usize,
    labels: Vec<u32>,
    ignore: Option<u32>,
    /// (softmax − 1 at the label) / kept, until the backward pass takes it.
    gradient: Mutex<Option<Vec<f32>>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = elements::<f32>("cross-entropy", s, l)?;
        let mut gradient = vec![0.; logits.len()];
        let loss = pass(Form::current(), logits, self.classes, &self.labels, self.ignore, &mut gradient);
        *self.gradient.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
        Ok((CpuStorage::F32(vec![loss as f32]), ().into()))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        match self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(gradient) => Tensor::from_vec(gradient, logits.shape(), logits.device())?.broadcast_mul(grad).map(Some),
            None => bail!("the gradient of a cross-entropy is taken once: compute the loss again"),
        }
    }
}

/// The mean of ln Σ exp(xⱼ) − x_label over the rows of (…, K) logits whose label is not `ignore`. For f32 on the CPU; the caller has
/// checked the labels.
pub(crate) fn cross_entropy(logits: &Tensor, labels: &[u32], ignore: Option<u32>) -> Result<Tensor> {
    let (classes, labels) = (logits.dim(D::Minus1)?, labels.to_vec());
    logits.contiguous()?.apply_op1(CrossEntropy { classes, labels, ignore, gradient: Mutex::default() })
}

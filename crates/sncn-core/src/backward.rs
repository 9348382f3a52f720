//! The backward pass of operations with many parameters.
//!
//! An operation of candle has at most three inputs. So each parameter becomes an operation of its own on a dummy tensor, one
//! after another, and the last result of this chain is an input of the operation. Backward, the operation leaves the gradients of
//! all parameters in shared memory, and each operation of the chain takes its own.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// The variables of recordings with their gradients, while [`backward`] runs.
    static HANDED: RefCell<Option<Vec<(Tensor, Tensor)>>> = const { RefCell::new(None) };
}

/// Computes the same gradients as `loss.backward()`, faster: candle adds every gradient to a tensor of zeros, which this avoids
/// for the variables of recorded networks.
///
/// # Errors
/// As [`Tensor::backward`]; also where the loss was computed from a recorded map in an evaluation pass.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
///
/// # fn main() -> candle_core::Result<()> {
/// let x = Var::new(&[1f32, 2.], &Device::Cpu)?;
/// let gradients = sncn_core::backward(&x.sqr()?.sum_all()?)?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [2., 4.]);
/// # Ok(())
/// # }
/// ```
pub fn backward(loss: &Tensor) -> Result<GradStore> {
    HANDED.set(Some(Vec::new()));
    let gradients = loss.backward();
    let handed = HANDED.take().unwrap_or_default();
    let mut gradients = gradients?;
    for (variable, gradient) in handed {
        let sum = match gradients.remove(&variable) {
            Some(held) => (held + gradient)?,
            None => gradient,
        };
        gradients.insert(&variable, sum);
    }
    Ok(gradients)
}

/// The gradients of all parameters, from the operation's backward pass until each operation of the chain takes its own; empty for
/// a parameter without a gradient.
#[derive(Clone)]
pub(crate) struct Left<T>(Arc<Mutex<Vec<Vec<T>>>>);

impl<T> Default for Left<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Left<T> {
    pub(crate) fn put(&self, gradients: Vec<Vec<T>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gradients;
    }

    fn take(&self, index: usize) -> Vec<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

/// The last tensor of the chain through all parameters, an input of the operation.
pub(crate) fn chain<T: WithDType>(parameters: &[Tensor], left: &Left<T>) -> Result<Tensor> {
    let start = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
    parameters.iter().enumerate().try_fold(start, |chain, (index, parameter)| {
        chain.apply_op2(&parameter.to_device(&Device::Cpu)?, Parameter { index, left: left.clone() })
    })
}

struct Parameter<T> {
    index: usize,
    left: Left<T>,
}

impl<T: WithDType> CustomOp2 for Parameter<T> {
    fn name(&self) -> &'static str {
        "recorded-parameter"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.]), 1.into()))
    }

    fn bwd(&self, chain: &Tensor, parameter: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let back = Some(chain.zeros_like()?);
        let gradient = match self.left.take(self.index) {
            // candle needs a gradient for what is computed from variables, not for variables
            none if none.is_empty() && parameter.is_variable() => return Ok((back, None)),
            none if none.is_empty() => parameter.zeros_like()?,
            values => Tensor::from_vec(values, parameter.shape(), parameter.device())?.to_dtype(parameter.dtype())?,
        };
        let handed = parameter.is_variable()
            && HANDED.with_borrow_mut(|handed| {
                handed.as_mut().map(|handed| handed.push((parameter.clone(), gradient.clone()))).is_some()
            });
        Ok((back, if handed { None } else { Some(gradient) }))
    }
}

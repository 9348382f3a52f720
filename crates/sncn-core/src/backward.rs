//! The backward pass of operations that have many parameters: an operation of candle takes three tensors at most, so
//! parameters are threaded one by one through a tensor of no consequence, and each takes its gradient from what the
//! operation left when it ran backward.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor, WithDType};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

thread_local! {
    /// Variables with their gradients, while [`backward`] runs.
    static HANDED: RefCell<Option<Vec<(Tensor, Tensor)>>> = const { RefCell::new(None) };
}

/// The gradients that `loss.backward()` gives, in less time: candle adds every gradient to zeros, and those of the variables
/// of a recording need not be.
///
/// # Errors
/// As [`Tensor::backward`].
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

/// The gradients of all parameters, between the backward passes of the operation and of each parameter; empty where none
/// came.
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

/// The thread through all parameters, to be given to the operation.
pub(crate) fn thread<T: WithDType>(parameters: &[Tensor], left: &Left<T>) -> Result<Tensor> {
    let start = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
    parameters.iter().enumerate().try_fold(start, |thread, (index, parameter)| {
        thread.apply_op2(&parameter.to_device(&Device::Cpu)?, Parameter { index, left: left.clone() })
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

    fn bwd(&self, thread: &Tensor, parameter: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let back = Some(thread.zeros_like()?);
        let gradient = match self.left.take(self.index) {
            // candle asks for a gradient of what is computed from variables, not of variables
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

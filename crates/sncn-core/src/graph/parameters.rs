//! A recording's parameters on candle's tape: an operation of candle takes three tensors at most, so they are threaded one by
//! one through a tensor of no consequence, and each takes its gradient from what the recording left when it ran backward.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
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

/// The gradients of all parameters, between the backward passes of the recording and of each parameter.
#[derive(Clone, Default)]
pub(super) struct Left(Arc<Mutex<Vec<Vec<f32>>>>);

impl Left {
    pub(super) fn put(&self, gradients: Vec<Vec<f32>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = gradients;
    }

    fn take(&self, index: usize) -> Vec<f32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

/// The thread through all parameters, to be given to the recording.
pub(super) fn thread(parameters: &[Tensor], like: &Tensor, left: &Left) -> Result<Tensor> {
    let start = Tensor::zeros(1, like.dtype(), like.device())?;
    parameters
        .iter()
        .enumerate()
        .try_fold(start, |thread, (index, parameter)| thread.apply_op2(parameter, Parameter { index, left: left.clone() }))
}

struct Parameter {
    index: usize,
    left: Left,
}

impl CustomOp2 for Parameter {
    fn name(&self) -> &'static str {
        "recorded-parameter"
    }

    fn cpu_fwd(&self, thread: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match thread {
            CpuStorage::F32(_) => Ok((CpuStorage::F32(vec![0.]), 1.into())),
            _ => bail!("a recording is in f32"),
        }
    }

    fn bwd(&self, thread: &Tensor, parameter: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = match self.left.take(self.index) {
            none if none.is_empty() => parameter.zeros_like()?,
            values => Tensor::from_vec(values, parameter.shape(), parameter.device())?,
        };
        let handed = parameter.is_variable()
            && HANDED.with_borrow_mut(|handed| {
                handed.as_mut().map(|handed| handed.push((parameter.clone(), gradient.clone()))).is_some()
            });
        Ok((Some(thread.zeros_like()?), if handed { None } else { Some(gradient) }))
    }
}

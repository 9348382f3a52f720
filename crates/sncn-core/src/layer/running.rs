//! Running statistics: exponential averages of what batches have, kept in buffers.

use crate::rule::Matrix;
use candle_core::{Device, Result, Tensor, Var};

/// Sets a buffer to (1 − share)·buffer + share·factor·now; `now` has as many values as the buffer, through which no gradient flows.
pub(super) fn keep(running: &Var, now: &Matrix, share: f64, factor: f64) -> Result<()> {
    let now = now.values().into_iter().map(|value| value * share * factor).collect::<Vec<_>>();
    let now = Tensor::from_vec(now, running.shape(), &Device::Cpu)?.to_dtype(running.dtype())?;
    running.set(&((running.as_detached_tensor() * (1. - share))? + now.to_device(running.device())?)?)
}

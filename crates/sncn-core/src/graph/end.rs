//! The end of a recording: a tensor, computed by one operation on candle's tape.

use super::feature_map::{FeatureMap, Repr};
use super::map::Map;
use super::observe::done;
use super::pooled::{Pooled, Values};
use super::recording::{Backward, Gradients, Log, Recording, Slots};
use crate::backward::{Left, chain};
use crate::ops::with_values;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::centred_sums;
use sncn_kernels::simd::Form as Kernels;
use std::sync::{Mutex, PoisonError};

/// The gradients that [`FeatureMap::backward`] returns.
pub struct MapGradients {
    input: Option<Pooled>,
    /// The gradient of each use of a parameter, in the order of use; empty where there is none.
    pub parameters: Vec<Vec<f32>>,
}

impl MapGradients {
    /// Returns the gradient of the input, (N, H, W, C) in row-major order; `None` where the input needs no gradient.
    pub fn input(&self) -> Option<&[f32]> {
        self.input.as_deref()
    }
}

impl FeatureMap {
    /// Returns the map, with what is pending applied, as a tensor (N, H, W, C) on candle's tape. This ends a recording with gradients.
    ///
    /// # Errors
    /// Returns an error where the recording has ended before.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self.materialize()?.0 {
            Repr::Tensor(xs, _) => Ok(xs),
            Repr::Map(recording, map) => {
                let (slot, dims) = (map.slot, map.dims);
                recording.finish(map.body.into_pooled().into_vec(), dims.into(), Some(slot))
            }
        }
    }

    /// Runs the backward pass of the recording from the gradient (N, H, W, C) of this map, without candle's tape; for measurements.
    ///
    /// # Errors
    /// Returns an error where this is not a recorded map of a training pass, or the gradient has another shape.
    pub fn backward(&self, gradient: &Tensor) -> Result<MapGradients> {
        let Repr::Map(recording, map) = &self.0 else { bail!("backward: this map is not recorded") };
        if gradient.dims4()? != map.dims {
            bail!("a gradient of shape {:?} for a map of shape {:?}", gradient.dims(), map.dims)
        }
        backward(recording, map.slot, gradient)
    }
}

/// The recorded body of a network as an operation of its input and the chain of parameters.
struct Body {
    /// The result, until candle takes it.
    values: Mutex<Option<Vec<f32>>>,
    shape: Shape,
    /// The slot of the map that is the result; `None` where the result is a mean.
    map: Option<usize>,
    /// The recording of a training pass.
    recorded: Option<Recorded>,
    to_input: bool,
}

struct Recorded {
    steps: Vec<Backward>,
    slots: Slots,
    parameters: usize,
    /// Where the gradients of the parameters are put.
    left: Left<f32>,
}

impl CustomOp2 for Body {
    fn name(&self) -> &'static str {
        "recorded-network"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.values.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(values) => Ok((CpuStorage::F32(values), self.shape.clone())),
            None => bail!("the result of a recording is taken once"),
        }
    }

    fn bwd(&self, xs: &Tensor, chain: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(recorded) = &self.recorded else {
            bail!("the backward pass of an evaluation pass is not recorded: use Pass::train, or f64 tensors")
        };
        let mut gradients = Gradients::new(&recorded.slots, recorded.parameters);
        let grad = grad.contiguous()?;
        match self.map {
            Some(slot) => gradients.give(slot, Values::Tensor(grad)),
            None => gradients.output = with_values(&grad, <[f32]>::to_vec)?,
        }
        recorded.steps.iter().rev().for_each(|step| step(&mut gradients));
        let dx = if self.to_input { gradients.take(0) } else { None };
        let dx = dx.map(|dx| Tensor::from_vec(dx.into_pooled().into_vec(), xs.shape(), xs.device())).transpose()?;
        recorded.left.put(gradients.parameters);
        Ok((dx, Some(chain.zeros_like()?)))
    }
}

/// Runs the backward pass of the operations recorded so far, from the gradient of a map.
fn backward(recording: &Recording, slot: usize, gradient: &Tensor) -> Result<MapGradients> {
    recording.with(|log| {
        if !log.mode.record {
            bail!("the backward pass of an evaluation pass is not recorded: use Pass::train")
        }
        let mut gradients = Gradients::new(&log.slots, log.parameters.len());
        let gradient = gradient.contiguous()?;
        with_values(&gradient, |_| ())?;
        gradients.give(slot, Values::Tensor(gradient));
        log.steps.iter().rev().for_each(|step| step(&mut gradients));
        let input = if log.mode.to_input { gradients.take(0).map(Values::into_pooled) } else { None };
        Ok(MapGradients { input, parameters: gradients.parameters })
    })
}

/// The mean (N, C) over the first `rows` rows and `columns` columns.
pub(super) fn pool(recording: &Recording, source: &Map, (rows, columns): (usize, usize)) -> Result<Tensor> {
    let (n, _, w, c) = source.dims;
    let positions = (rows * columns) as f64;
    // whole rows are one run
    let (runs, run) = if columns == w { (1, rows * w) } else { (rows, columns) };
    let mut values = vec![0f32; n * c];
    values.par_chunks_exact_mut(c).enumerate().for_each(|(n, values)| {
        let mut ys = Pooled::take(run * c);
        let (mut sum, mut squares) = (vec![0.; c], vec![0.; c]);
        for row in 0..runs {
            source.read(n, row * w, &mut ys);
            centred_sums(Kernels::current(), &ys, &vec![0.; c], &mut sum, &mut squares);
        }
        values.iter_mut().zip(&sum).for_each(|(value, sum)| *value = (sum / positions) as f32);
    });
    let source = source.clone();
    recording.record(move |gradients| {
        let output = std::mem::take(&mut gradients.output);
        let gradient = Pooled::take(source.body.len());
        source.give(gradients, gradient, |n, gradient| {
            let each: Vec<f32> = output[n * c..(n + 1) * c].iter().map(|output| output / positions as f32).collect();
            gradient.fill(0.);
            for row in 0..runs {
                gradient[row * w * c..][..run * c].chunks_exact_mut(c).for_each(|g| g.copy_from_slice(&each));
            }
        });
        done("mean over positions: backward");
    });
    done("mean over positions: forward");
    recording.finish(values, (n, c).into(), None)
}

impl Recording {
    /// Gives these values as a tensor. This ends the recording of a pass with gradients; others give as many tensors as are asked for.
    pub(super) fn finish(&self, values: Vec<f32>, shape: Shape, map: Option<usize>) -> Result<Tensor> {
        let ended = || {
            candle_core::Error::Msg(
                "this recording has ended: a recording gives one tensor; concatenate what else is needed before it ends"
                    .to_string(),
            )
        };
        let (input, chain, recorded, to_input) = if self.mode().record {
            let Log { mode, input, steps, slots, parameters, .. } = self.take();
            let left = Left::default();
            let chain = chain(&parameters, &left)?;
            let recorded = Recorded { steps, slots, parameters: parameters.len(), left };
            (input.ok_or_else(ended)?, chain, Some(recorded), mode.to_input)
        } else {
            let (input, parameter) = self.with(|log| (log.input.clone(), log.parameters.first().cloned()));
            let input = input.ok_or_else(ended)?;
            // with a parameter as its input the operation stays on the tape, and a backward pass gets an error
            let chain = parameter.unwrap_or_else(|| input.clone());
            (input, chain, None, false)
        };
        let values = Mutex::new(Some(values));
        input.apply_op2(&chain, Body { values, shape, map, recorded, to_input })
    }
}

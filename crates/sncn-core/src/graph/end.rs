//! The end of a recording: the mean over positions, as one operation of candle's tape.

use super::buffer::{Buffer, Values};
use super::feature_map::{FeatureMap, Form};
use super::map::Map;
use super::observe::done;
use super::recording::{Backward, Gradients, Log, Recording, Slots};
use crate::backward::{Left, thread};
use crate::ops::with_values;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::centred_sums;
use std::sync::{Mutex, PoisonError};

/// Gradients from [`FeatureMap::backward`].
pub struct MapGradients {
    input: Option<Buffer>,
    /// Of every use of a parameter, in order; empty where none came.
    pub parameters: Vec<Vec<f32>>,
}

impl MapGradients {
    /// Of the input, (N, H, W, C) row-major; absent where the input is no variable.
    pub fn input(&self) -> Option<&[f32]> {
        self.input.as_deref()
    }
}

impl FeatureMap {
    /// The map with every pending table applied, as a tensor (N, H, W, C) on candle's tape. A recording gives one tensor: this
    /// ends it.
    ///
    /// # Errors
    /// Where the recording has ended before.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match self.materialize()?.0 {
            Form::Tensor(xs, _) => Ok(xs),
            Form::Map(recording, map) => {
                let (slot, dims) = (map.slot, map.dims);
                recording.finish(map.body.into_buffer().into_vec(), dims.into(), Some(slot))
            }
        }
    }

    /// Runs the recording backward from the map's gradient (N, H, W, C), without candle's tape.
    ///
    /// # Errors
    /// Where this is not a recorded map of a training pass, or the gradient has another shape.
    pub fn backward(&self, gradient: &Tensor) -> Result<MapGradients> {
        let Form::Map(recording, map) = &self.0 else { bail!("only a recorded map can be run backward") };
        if gradient.dims4()? != map.dims {
            bail!("a gradient of shape {:?} for a map of shape {:?}", gradient.dims(), map.dims)
        }
        backward(recording, map.slot, gradient)
    }
}

/// The recorded body of a network as an operation of (input, thread through the parameters).
struct Body {
    /// What it gives, until candle takes it.
    values: Mutex<Option<Vec<f32>>>,
    shape: Shape,
    /// The slot of a map that it gives; a table where there is none.
    map: Option<usize>,
    /// What a training pass recorded.
    recorded: Option<Recorded>,
    to_input: bool,
}

struct Recorded {
    steps: Vec<Backward>,
    slots: Slots,
    parameters: usize,
    /// Where the gradients of the parameters are left.
    left: Left<f32>,
}

impl CustomOp2 for Body {
    fn name(&self) -> &'static str {
        "recorded-network"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        match self.values.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(values) => Ok((CpuStorage::F32(values), self.shape.clone())),
            None => bail!("a recording gives its values once"),
        }
    }

    fn bwd(&self, xs: &Tensor, thread: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(recorded) = &self.recorded else {
            bail!("an evaluation pass records nothing to differentiate: use Pass::train, or f64 tensors")
        };
        let mut gradients = Gradients::new(&recorded.slots, recorded.parameters);
        let grad = grad.contiguous()?;
        match self.map {
            Some(slot) => gradients.give(slot, Values::Tensor(grad)),
            None => gradients.output = with_values(&grad, <[f32]>::to_vec)?,
        }
        recorded.steps.iter().rev().for_each(|step| step(&mut gradients));
        let dx = if self.to_input { gradients.take(0) } else { None };
        let dx = dx.map(|dx| Tensor::from_vec(dx.into_buffer().into_vec(), xs.shape(), xs.device())).transpose()?;
        recorded.left.put(gradients.parameters);
        Ok((dx, Some(thread.zeros_like()?)))
    }
}

/// Runs the steps so far backward from the gradient of a map.
fn backward(recording: &Recording, slot: usize, gradient: &Tensor) -> Result<MapGradients> {
    recording.with(|log| {
        if !log.mode.record {
            bail!("an evaluation pass records nothing to differentiate: use Pass::train")
        }
        let mut gradients = Gradients::new(&log.slots, log.parameters.len());
        let gradient = gradient.contiguous()?;
        with_values(&gradient, |_| ())?;
        gradients.give(slot, Values::Tensor(gradient));
        log.steps.iter().rev().for_each(|step| step(&mut gradients));
        let input = if log.mode.to_input { gradients.take(0).map(Values::into_buffer) } else { None };
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
        let mut ys = Buffer::take(run * c);
        let (mut sum, mut squares) = (vec![0.; c], vec![0.; c]);
        for row in 0..runs {
            source.read(n, row * w, &mut ys);
            centred_sums(&ys, &vec![0.; c], &mut sum, &mut squares);
        }
        values.iter_mut().zip(&sum).for_each(|(value, sum)| *value = (sum / positions) as f32);
    });
    let source = source.clone();
    recording.record(move |gradients| {
        let output = std::mem::take(&mut gradients.output);
        let gradient = Buffer::take(source.body.len());
        source.give(gradients, gradient, |n, gradient| {
            let share: Vec<f32> = output[n * c..(n + 1) * c].iter().map(|output| output / positions as f32).collect();
            gradient.fill(0.);
            for row in 0..runs {
                gradient[row * w * c..][..run * c].chunks_exact_mut(c).for_each(|g| g.copy_from_slice(&share));
            }
        });
        done("mean over positions: backward");
    });
    done("mean over positions: forward");
    recording.finish(values, (n, c).into(), None)
}

impl Recording {
    /// Ends the recording with these values.
    pub(super) fn finish(&self, values: Vec<f32>, shape: Shape, map: Option<usize>) -> Result<Tensor> {
        let Log { mode, input, steps, slots, parameters } = self.take();
        let Some(input) = input else {
            bail!("a recording gives one result, and this one has given it: join what else is wanted to it")
        };
        let (recorded, thread) = if mode.record {
            let left = Left::default();
            let thread = thread(&parameters, &left)?;
            (Some(Recorded { steps, slots, parameters: parameters.len(), left }), thread)
        } else {
            // one parameter keeps the operation on the tape, so that a backward pass is told that nothing was recorded
            (None, parameters.into_iter().next().unwrap_or_else(|| input.clone()))
        };
        let values = Mutex::new(Some(values));
        input.apply_op2(&thread, Body { values, shape, map, recorded, to_input: mode.to_input })
    }
}

//! The end of a recording: the mean over positions, as one operation of candle's tape.

use super::buffer::{Buffer, Values};
use super::map::{Map, Source};
use super::observe::done;
use super::parameters::{Left, thread};
use super::{Gradients, Graph, MapGradients, Recorder, Step};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::centred_sums;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs `f` over the values of a contiguous f32 tensor on the CPU.
pub(super) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => bail!("a contiguous f32 tensor on the CPU is wanted, not {:?} of shape {:?}", tensor.dtype(), tensor.shape()),
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
    steps: Vec<Step>,
    slots: usize,
    parameters: usize,
    /// Where the gradients of the parameters are left.
    left: Left,
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
        let mut gradients = Gradients::new(recorded.slots, recorded.parameters);
        let grad = grad.contiguous()?;
        match self.map {
            Some(slot) => gradients.maps[slot] = Some(Values::Tensor(grad)),
            None => gradients.output = with_values(&grad, <[f32]>::to_vec)?,
        }
        recorded.steps.iter().rev().for_each(|step| step(&mut gradients));
        let dx = if self.to_input { gradients.take(0) } else { None };
        let dx = dx.map(|dx| Tensor::from_vec(dx.into_buffer().into_vec(), xs.shape(), xs.device())).transpose()?;
        recorded.left.put(gradients.parameters);
        Ok((dx, Some(thread.zeros_like()?)))
    }
}

/// A recorded map, as it is.
pub(super) fn whole(graph: &Graph, map: Map) -> Result<Tensor> {
    let (slot, dims) = (map.slot, map.dims);
    let values = match Arc::try_unwrap(map.data) {
        Ok(values) => values.into_buffer(),
        Err(shared) => Buffer::of(&shared.part(0..shared.len())),
    };
    graph.finish(values.into_vec(), dims.into(), Some(slot))
}

/// Runs the steps so far backward from the gradient of a map.
pub(super) fn backward(graph: &Graph, slot: usize, gradient: &Tensor) -> Result<MapGradients> {
    let recorder = graph.0.borrow();
    if !recorder.record {
        bail!("an evaluation pass records nothing to differentiate: use Pass::train")
    }
    let mut gradients = Gradients::new(recorder.slots, recorder.parameters.len());
    let gradient = gradient.contiguous()?;
    with_values(&gradient, |_| ())?;
    gradients.maps[slot] = Some(Values::Tensor(gradient));
    recorder.steps.iter().rev().for_each(|step| step(&mut gradients));
    let input = if recorder.to_input { gradients.take(0).map(Values::into_buffer) } else { None };
    Ok(MapGradients { input, parameters: gradients.parameters })
}

/// The mean (N, C) over the first `rows` rows and `columns` columns.
pub(super) fn pool(graph: &Graph, source: Source, (rows, columns): (usize, usize)) -> Result<Tensor> {
    let map = source.map().clone();
    let (n, _, w, c) = map.dims;
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
    graph.record(move |gradients| {
        let output = std::mem::take(&mut gradients.output);
        source.give(gradients, |n, gradient| {
            let share: Vec<f32> = output[n * c..(n + 1) * c].iter().map(|output| output / positions as f32).collect();
            gradient.fill(0.);
            for row in 0..runs {
                gradient[row * w * c..][..run * c].chunks_exact_mut(c).for_each(|g| g.copy_from_slice(&share));
            }
        });
        done("mean over positions: backward");
    });
    done("mean over positions: forward");
    graph.finish(values, (n, c).into(), None)
}

impl Graph {
    /// Ends the recording with these values.
    pub(super) fn finish(&self, values: Vec<f32>, shape: Shape, map: Option<usize>) -> Result<Tensor> {
        let mut recorder = std::mem::take(&mut *self.0.borrow_mut());
        let Some(input) = recorder.input.take() else { bail!("a recording ends without an input") };
        let Recorder { record, steps, slots, parameters, to_input, .. } = recorder;
        let (recorded, thread) = if record {
            let left = Left::default();
            let thread = thread(&parameters, &input, &left)?;
            (Some(Recorded { steps, slots, parameters: parameters.len(), left }), thread)
        } else {
            // one parameter keeps the operation on the tape, so that a backward pass is told that nothing was recorded
            (None, parameters.into_iter().next().unwrap_or_else(|| input.clone()))
        };
        let values = Mutex::new(Some(values));
        input.apply_op2(&thread, Body { values, shape, map, recorded, to_input })
    }
}

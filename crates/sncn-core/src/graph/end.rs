//! The end of a recording: the mean over positions, as one operation of candle's tape.

use super::buffer::Buffer;
use super::map::Source;
use super::{Gradients, Graph, Step};
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Storage, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::centred_sums;

/// Runs `f` over the values of a contiguous f32 tensor on the CPU.
pub(super) fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) => Ok(f(&values[start..end])),
        _ => bail!("a contiguous f32 tensor on the CPU is wanted, not {:?} of shape {:?}", tensor.dtype(), tensor.shape()),
    }
}

/// The recorded body of a network as an operation of (input, parameters).
struct Body {
    values: Vec<f32>,
    dims: (usize, usize),
    /// The steps with the number of slots; none in evaluation.
    recorded: Option<(Vec<Step>, usize)>,
    input: Option<usize>,
}

impl CustomOp2 for Body {
    fn name(&self) -> &'static str {
        "recorded-network"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.values.clone()), self.dims.into()))
    }

    fn bwd(&self, xs: &Tensor, parameters: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some((steps, slots)) = &self.recorded else {
            bail!("an evaluation pass records nothing to differentiate: use Pass::train, or f64 tensors")
        };
        let none = |_| None;
        let mut gradients = Gradients {
            maps: (0..*slots).map(none).collect(),
            sums: (0..*slots).map(|_| None).collect(),
            parameters: vec![0.; parameters.elem_count()],
            output: with_values(&grad.contiguous()?, <[f32]>::to_vec)?,
        };
        steps.iter().rev().for_each(|step| step(&mut gradients));
        let dx = match self.input.and_then(|slot| gradients.take(slot)) {
            Some(dx) => Some(Tensor::from_slice(&dx, xs.shape(), xs.device())?),
            None => None,
        };
        Ok((dx, Some(Tensor::from_vec(gradients.parameters, parameters.shape(), parameters.device())?)))
    }
}

/// The mean over positions (N, C).
pub(super) fn pool(graph: &Graph, source: Source) -> Result<Tensor> {
    let map = source.map().clone();
    let (n, _, _, c) = map.dims;
    let positions = map.positions() as f64;
    let mut values = vec![0f32; n * c];
    values.par_chunks_exact_mut(c).enumerate().for_each(|(n, values)| {
        let mut ys = Buffer::take(map.instance_len());
        source.read(n, 0, &mut ys);
        let (mut sum, mut squares) = (vec![0.; c], vec![0.; c]);
        centred_sums(&ys, &vec![0.; c], &mut sum, &mut squares);
        values.iter_mut().zip(&sum).for_each(|(value, sum)| *value = (sum / positions) as f32);
    });
    graph.record(move |gradients| {
        let mut gradient = Buffer::take(map.data.len());
        let output = std::mem::take(&mut gradients.output);
        gradient.par_chunks_exact_mut(map.instance_len()).zip(output.par_chunks_exact(c)).for_each(|(gradient, output)| {
            for row in gradient.chunks_exact_mut(c) {
                row.iter_mut().zip(output).for_each(|(g, output)| *g = output / positions as f32);
            }
        });
        match &source {
            Source::Map(map) => gradients.give(map.slot, gradient),
            Source::Activation(activation) => activation.give(gradients, gradient),
        }
    });
    graph.finish(values, (n, c))
}

impl Graph {
    /// Ends the recording with these values.
    fn finish(&self, values: Vec<f32>, dims: (usize, usize)) -> Result<Tensor> {
        let recorder = std::mem::take(&mut *self.0.borrow_mut());
        let Some(input) = recorder.input else { bail!("a recording ends without an input") };
        let parameters: Vec<Tensor> = recorder.parameters.iter().map(Tensor::flatten_all).collect::<Result<_>>()?;
        let (recorded, packed) = if recorder.record {
            (Some((recorder.steps, recorder.slots)), Tensor::cat(&parameters, 0)?)
        } else {
            // one parameter keeps the operation on the tape, so that a backward pass is told that nothing was recorded
            let first = parameters.into_iter().next().map_or_else(|| input.flatten_all(), Ok)?;
            (None, first)
        };
        let slot = recorder.to_input.then_some(0);
        input.apply_op2(&packed, Body { values, dims, recorded, input: slot })
    }
}

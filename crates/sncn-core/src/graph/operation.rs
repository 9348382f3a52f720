//! `Operation`: a function of a map with its own backward pass, for layers that are not rules.

use super::feature_map::FeatureMap;
use super::map::Map;
use super::observe::done;
use super::pooled::{Pooled, Values};
use super::recording::{Parameter, Recording};
use crate::trace;
use candle_core::{Result, Tensor, bail};
use std::sync::Arc;

/// The shape (N, H, W, C) of a map.
pub type Dims = (usize, usize, usize, usize);

/// A function of the values of a map (N, H, W, C), with its backward pass: for layers that are not a [`crate::rule::Rule`], since they
/// sort values, for example.
///
/// On a recorded map `forward` and `backward` run on f32 values in row-major order; elsewhere `reference` runs. A test should compare
/// the two.
pub trait Operation: Send + Sync + 'static {
    /// What the forward pass saves for the backward pass.
    type Saved: Send + Sync;

    /// Returns the name for error messages and measurements.
    fn name(&self) -> &'static str;

    /// Returns the parameters that get a gradient, in the order of `backward`'s argument; by default none.
    fn parameters(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// Returns the shape of the result for a map of shape `dims`; by default the same.
    ///
    /// # Errors
    /// Returns an error where the operation is not defined for that shape.
    fn output(&self, dims: Dims) -> Result<Dims> {
        Ok(dims)
    }

    /// Computes the result. It must write all of `ys`, whose values are arbitrary before.
    ///
    /// # Errors
    /// Returns an error where a parameter cannot be read.
    fn forward(&self, xs: &[f32], dims: Dims, ys: &mut [f32]) -> Result<Self::Saved>;

    /// Computes the gradients `gx` of `xs`, all of which it must write, and `parameters`, which are zeros before, from the gradient `gy`
    /// of the result.
    fn backward(&self, saved: &Self::Saved, xs: &[f32], dims: Dims, gy: &[f32], gx: &mut [f32], parameters: &mut [Vec<f32>]);

    /// Computes the same in candle's operations, on a tensor (N, H, W, C) of any type and device.
    ///
    /// # Errors
    /// Returns candle's error, and an error where the operation is not defined for the shape.
    fn reference(&self, xs: &Tensor) -> Result<Tensor>;

    /// Returns the operation in a trace of a network, where it has one; by default none, and a network with it cannot be traced.
    fn traced(&self) -> Option<trace::Operation> {
        None
    }
}

impl FeatureMap {
    /// Applies an operation to the map, with what is pending applied before.
    ///
    /// # Errors
    /// Returns the error of the operation, and an error where its result is empty.
    pub fn apply_operation<O: Operation>(&self, operation: O) -> Result<Self> {
        let operation = Arc::new(operation);
        self.reading(
            |xs| {
                let ys = operation.reference(xs)?;
                note(&*operation, xs, &ys);
                Ok(ys)
            },
            |recording, map| {
                let map = map.materialize(recording);
                let dims = operation.output(map.dims)?;
                let (data, slot) = run(recording, operation.clone(), (map.body.data(), map.slot, map.dims), dims)?;
                Ok(Map::of(slot, dims, Values::Own(data)))
            },
        )
    }
}

/// Notes an operation, or that it has no trace, where a network is traced.
pub(super) fn note(operation: &impl Operation, xs: &Tensor, ys: &Tensor) {
    match operation.traced() {
        Some(traced) => trace::note(|| traced, &[xs], ys),
        None => trace::refuse(&format!("{}: it has no trace", operation.name())),
    }
}

/// Runs an operation and records its backward pass; returns the result with its slot.
pub(super) fn run<O: Operation>(
    recording: &Recording,
    operation: Arc<O>,
    (xs, from, dims): (&Arc<Values>, usize, Dims),
    (n, h, w, c): Dims,
) -> Result<(Pooled, usize)> {
    if n * h * w * c == 0 {
        bail!("{}: a result of shape {:?} is empty", operation.name(), (n, h, w, c))
    }
    let mut data = Pooled::take(n * h * w * c);
    let saved = operation.forward(&xs.part(0..xs.len()), dims, &mut data)?;
    let slot = recording.slot();
    let parameters: Vec<Parameter> = operation.parameters().iter().map(|tensor| recording.parameter(tensor)).collect();
    done(operation.name());
    let xs = xs.clone();
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gx = Pooled::take(xs.len());
        let mut own: Vec<Vec<f32>> = parameters.iter().map(|parameter| vec![0.; parameter.len]).collect();
        operation.backward(&saved, &xs.part(0..xs.len()), dims, &gradient.part(0..gradient.len()), &mut gx, &mut own);
        for (parameter, own) in parameters.iter().zip(own) {
            gradients.add_parameter(*parameter, own.into_iter().map(f64::from));
        }
        gradients.give(from, Values::Own(gx));
        done(operation.name());
    });
    Ok((data, slot))
}

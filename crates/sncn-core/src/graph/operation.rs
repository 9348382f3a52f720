//! `Operation`: the second door, for layers that are no rule: an operation on a recording with a backward pass of its own.

use super::buffer::{Buffer, Values};
use super::feature_map::FeatureMap;
use super::map::Map;
use super::observe::done;
use super::recording::{Parameter, Recording};
use candle_core::{Result, Tensor, bail};
use std::sync::Arc;

/// The shape (N, H, W, C) of a map.
pub type Dims = (usize, usize, usize, usize);

/// An operation on the values of a map (N, H, W, C), row-major f32, with its backward pass: what a layer is that no
/// [`crate::rule::Rule`] expresses, since it sorts values, say.
///
/// On a recorded map `forward` and `backward` run; elsewhere `reference` does: a test should hold them to each other.
pub trait Operation: Send + Sync + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved: Send + Sync;

    /// Its name in error messages and measurements.
    fn name(&self) -> &'static str;

    /// The parameters that get a gradient, in the order of `backward`'s.
    fn parameters(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// The shape of the result for a map of that shape; the same unless told otherwise.
    ///
    /// # Errors
    /// Where it cannot take such a map.
    fn output(&self, dims: Dims) -> Result<Dims> {
        Ok(dims)
    }

    /// Writes all of `ys`, the result, which begins with arbitrary values.
    ///
    /// # Errors
    /// Where the values cannot be computed.
    fn forward(&self, xs: &[f32], dims: Dims, ys: &mut [f32]) -> Result<Self::Saved>;

    /// Writes all of `gx`, the gradient of `xs`, and of `parameters`, which begin as zeros, by the result's gradient `gy`.
    fn backward(&self, saved: &Self::Saved, xs: &[f32], dims: Dims, gy: &[f32], gx: &mut [f32], parameters: &mut [Vec<f32>]);

    /// The same in candle's operations, on a tensor (N, H, W, C) of any type and device.
    ///
    /// # Errors
    /// As `forward`.
    fn reference(&self, xs: &Tensor) -> Result<Tensor>;
}

impl FeatureMap {
    /// Applies an operation of one's own.
    ///
    /// # Errors
    /// As the operation, or where it gives a map without values.
    pub fn apply_operation<O: Operation>(&self, operation: O) -> Result<Self> {
        let operation = Arc::new(operation);
        self.reading(
            |xs| operation.reference(xs),
            |recording, map| {
                let map = map.materialize(recording);
                let dims = operation.output(map.dims)?;
                let (data, slot) = run(recording, operation.clone(), (map.body.data(), map.slot, map.dims), dims)?;
                Ok(Map::of(slot, dims, Values::Own(data)))
            },
        )
    }
}

/// Runs an operation on values and records its backward pass; its result, with the slot of that.
pub(super) fn run<O: Operation>(
    recording: &Recording,
    operation: Arc<O>,
    (xs, from, dims): (&Arc<Values>, usize, Dims),
    (n, h, w, c): Dims,
) -> Result<(Buffer, usize)> {
    if n * h * w * c == 0 {
        bail!("{}: a result of shape {:?} holds nothing", operation.name(), (n, h, w, c))
    }
    let mut data = Buffer::take(n * h * w * c);
    let saved = operation.forward(&xs.part(0..xs.len()), dims, &mut data)?;
    let slot = recording.slot();
    let parameters: Vec<Parameter> = operation.parameters().iter().map(|tensor| recording.parameter(tensor)).collect();
    done(operation.name());
    let xs = xs.clone();
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gx = Buffer::take(xs.len());
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

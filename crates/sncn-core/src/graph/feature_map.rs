//! `FeatureMap`: a map (N, H, W, C) between two layers of a network.

use super::map::Map;
use super::recording::{Mode, Recording};
use crate::ops;
use crate::pass::{Pass, Precision};
use candle_core::{DType, Result, Tensor, bail};

/// A map (N, H, W, C) between two layers of a network.
///
/// Its methods are the operations that networks are built of: convolutions, activations, pooling, sums, and the rules of layers. On
/// the CPU in f32 they are recorded, and candle's tape has one operation for the whole body; elsewhere they are tensor operations.
/// Both give the same values and gradients.
///
/// A body starts with [`FeatureMap::from_tensor`] and ends with [`FeatureMap::to_tensor`] or a pooling to (N, C).
#[derive(Clone)]
pub struct FeatureMap(pub(super) Repr);

#[derive(Clone)]
pub(super) enum Repr {
    Tensor(Tensor, Precision),
    Map(Recording, Map),
}

impl FeatureMap {
    /// Starts a network body with a batch (N, H, W, C). It is recorded for f32 on the CPU where `recordable` is true, which means
    /// that every layer can be applied to recorded maps ([`crate::Hooks::recordable`]).
    ///
    /// # Errors
    /// Returns an error where a batch to record has another rank, or is empty.
    pub fn from_tensor(xs: &Tensor, recordable: bool, pass: &Pass) -> Result<Self> {
        if !(recordable && ops::has_kernel(xs) && xs.dtype() == DType::F32) {
            return Ok(Self(Repr::Tensor(xs.clone(), pass.precision())));
        }
        let mode = Mode {
            record: pass.records(),
            to_input: pass.records() && (xs.track_op() || xs.is_variable()),
            bf16: pass.precision() == Precision::Bf16,
        };
        let recording = Recording::begin(xs.clone(), mode, pass);
        let map = Map::input(&recording, xs)?;
        Ok(Self(Repr::Map(recording, map)))
    }

    /// Returns the shape (N, H, W, C).
    ///
    /// # Errors
    /// Returns an error where the map is a tensor of another rank.
    pub fn dims(&self) -> Result<(usize, usize, usize, usize)> {
        match &self.0 {
            Repr::Tensor(xs, _) => xs.dims4(),
            Repr::Map(_, map) => Ok(map.dims),
        }
    }

    /// Writes the map with its pending affine map and activation applied.
    ///
    /// # Errors
    /// Never on a tensor or a recorded map; the result is that of the other operations.
    pub fn materialize(&self) -> Result<Self> {
        self.reading(|xs| Ok(xs.clone()), |recording, map| Ok(map.materialize(recording)))
    }

    /// Returns the same map, through which no gradient flows: layers that read it get gradients for their parameters, and the map
    /// itself gets none.
    pub fn detach(&self) -> Self {
        Self(match &self.0 {
            Repr::Tensor(xs, precision) => Repr::Tensor(xs.detach(), *precision),
            Repr::Map(recording, map) => Repr::Map(recording.clone(), map.settled(recording).at_slot(recording.detached_slot())),
        })
    }

    /// Applies `tensor` to a tensor, or `map` to a recorded map, which applies a pending activation as it reads.
    pub(super) fn reading(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        self.with(tensor, |recording, xs| map(recording, &xs.ready(recording)))
    }

    /// As `reading`, after a pending activation was applied.
    pub(super) fn either(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        self.reading(tensor, |recording, xs| map(recording, &xs.settled(recording)))
    }

    /// As `either`, for what may stay pending: the values of the map may not be written yet.
    pub(super) fn pending(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        self.with(tensor, |recording, xs| map(recording, &xs.settled(recording)))
    }

    fn with(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Repr::Tensor(xs, precision) => Repr::Tensor(tensor(xs)?, *precision),
            Repr::Map(recording, xs) => Repr::Map(recording.clone(), map(recording, xs)?),
        }))
    }

    /// Applies `tensors` to two tensors, or `maps` to two maps of one recording, whose values may not be written yet.
    pub(super) fn both(
        &self,
        other: &Self,
        tensors: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
        maps: impl FnOnce(&Recording, &Map, &Map) -> Result<Map>,
    ) -> Result<Self> {
        match (&self.0, &other.0) {
            (Repr::Tensor(xs, precision), Repr::Tensor(ys, _)) => Ok(Self(Repr::Tensor(tensors(xs, ys)?, *precision))),
            (Repr::Map(recording, xs), Repr::Map(other, ys)) if recording.is(other) => {
                let sum = maps(recording, &xs.settled(recording), &ys.settled(recording))?;
                Ok(Self(Repr::Map(recording.clone(), sum)))
            }
            (Repr::Map(..), Repr::Map(..)) => {
                bail!("the two maps belong to different recordings: compute both from one map of FeatureMap::from_tensor")
            }
            _ => bail!("one map is recorded and the other is a tensor: compute both from one map of FeatureMap::from_tensor"),
        }
    }

    /// Applies a layer that is a function of tensors (N, H, W, C).
    ///
    /// # Errors
    /// Returns the error of the layer, or an error where the map is recorded: a network with such a layer passes `recordable: false` to
    /// [`FeatureMap::from_tensor`].
    pub fn on_tensor(&self, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.reading(layer, |_, _| {
            bail!(
                "this layer cannot be applied to a recorded map: its Layer::recordable must return false, and the network must pass that to FeatureMap::from_tensor"
            )
        })
    }
}

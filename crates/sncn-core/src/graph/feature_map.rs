//! `FeatureMap`: a map (N, H, W, C) between two layers of a network.

use super::map::Map;
use super::recording::{Mode, Recording};
use crate::ops;
use crate::pass::{Pass, Precision};
use candle_core::{DType, Result, Tensor, bail};

/// A map (N, H, W, C) between two layers.
///
/// Its methods are the operations of networks: convolutions, curves, pools, sums, and the rules of layers. On the CPU in f32
/// they are recorded and candle's tape sees one operation; elsewhere each is tensor operations. Both give the same values and
/// gradients.
#[derive(Clone)]
pub struct FeatureMap(pub(super) Form);

#[derive(Clone)]
pub(super) enum Form {
    Tensor(Tensor, Precision),
    Map(Recording, Map),
}

impl FeatureMap {
    /// Starts with a batch (N, H, W, C); recorded where the device and type allow it and `recordable` (every layer of the
    /// network has a recorded form).
    ///
    /// # Errors
    /// Where the shape does not fit, or the batch holds nothing.
    pub fn from_tensor(xs: &Tensor, recordable: bool, pass: &Pass) -> Result<Self> {
        if !(recordable && ops::has_kernel(xs) && xs.dtype() == DType::F32) {
            return Ok(Self(Form::Tensor(xs.clone(), pass.precision())));
        }
        let mode = Mode {
            record: pass.train,
            to_input: pass.train && (xs.track_op() || xs.is_variable()),
            bare: false,
            bf16: pass.precision() == Precision::Bf16,
        };
        let recording = Recording::begin(xs.clone(), mode);
        let map = Map::input(&recording, xs)?;
        Ok(Self(Form::Map(recording, map)))
    }

    /// Says whether the layers to come want the statistics of maps, so that convolutions gather them as they write (they do
    /// unless told otherwise); where they are wanted all the same, a pass over the map finds them.
    pub fn gather_statistics(self, wanted: bool) -> Self {
        if let Form::Map(recording, _) = &self.0 {
            recording.set_bare(!wanted);
        }
        self
    }

    /// (N, H, W, C).
    ///
    /// # Errors
    /// Where a tensor has another rank.
    pub fn dims(&self) -> Result<(usize, usize, usize, usize)> {
        match &self.0 {
            Form::Tensor(xs, _) => xs.dims4(),
            Form::Map(_, map) => Ok(map.dims),
        }
    }

    /// The map with everything pending applied: what a reader would read.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn materialize(&self) -> Result<Self> {
        self.reading(|xs| Ok(xs.clone()), |recording, map| Ok(map.materialize(recording)))
    }

    /// The same map, through which no gradient flows: what is computed from it gives gradients to its own parameters and none
    /// to what came before.
    pub fn detach(&self) -> Self {
        Self(match &self.0 {
            Form::Tensor(xs, precision) => Form::Tensor(xs.detach(), *precision),
            Form::Map(recording, map) => Form::Map(recording.clone(), map.settled(recording).at_slot(recording.slot_aside())),
        })
    }

    /// An operation of this map, which reads a pending activation: `tensor` on a tensor, `map` on a recorded map.
    pub(super) fn reading(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Form::Tensor(xs, precision) => Form::Tensor(tensor(xs)?, *precision),
            Form::Map(recording, xs) => Form::Map(recording.clone(), map(recording, xs)?),
        }))
    }

    /// An operation of this map without a pending activation.
    pub(super) fn either(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        map: impl FnOnce(&Recording, &Map) -> Result<Map>,
    ) -> Result<Self> {
        self.reading(tensor, |recording, xs| map(recording, &xs.settled(recording)))
    }

    /// An operation of this map and another: `tensors` on tensors, `maps` on recorded maps.
    ///
    /// # Errors
    /// Where the two are not of one recording.
    pub(super) fn both(
        &self,
        other: &Self,
        tensors: impl FnOnce(&Tensor, &Tensor) -> Result<Tensor>,
        maps: impl FnOnce(&Recording, &Map, &Map) -> Result<Map>,
    ) -> Result<Self> {
        match (&self.0, &other.0) {
            (Form::Tensor(xs, precision), Form::Tensor(ys, _)) => Ok(Self(Form::Tensor(tensors(xs, ys)?, *precision))),
            (Form::Map(recording, xs), Form::Map(other, ys)) if recording.is(other) => {
                let sum = maps(recording, &xs.settled(recording), &ys.settled(recording))?;
                Ok(Self(Form::Map(recording.clone(), sum)))
            }
            (Form::Map(..), Form::Map(..)) => {
                bail!("two maps of different recordings meet: start one map with FeatureMap::from_tensor and make both from it")
            }
            _ => bail!("a recorded map and a tensor meet: start one map with FeatureMap::from_tensor and make both from it"),
        }
    }

    /// A layer that works on tensors (N, H, W, C), where this is one.
    ///
    /// # Errors
    /// As the layer, or where the map is recorded.
    pub fn on_tensor(&self, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        self.reading(layer, |_, _| {
            bail!(
                "a layer without a recorded form meets a recorded map: have its Layer::recordable say false, and hand that to FeatureMap::from_tensor"
            )
        })
    }
}

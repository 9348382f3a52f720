//! `TokenMap`: the token vectors between two layers of a text encoder.

use crate::Seed;
use crate::graph::join::sum;
use crate::graph::observe::done;
use crate::graph::pooled::{Pooled, Values};
use crate::graph::recording::{Mode, Recording};
use crate::ops;
use crate::ops::with_values;
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{DType, Result, Tensor, bail};
use sncn_kernels::gelu::{Gelu, gelu_backward, gelu_forward};
use sncn_kernels::simd::Form as Kernels;
use std::sync::Arc;

/// The token vectors (tokens, channels) of packed sequences, between two layers of a text encoder.
///
/// On the CPU in f32 operations on them are recorded, as on a [`crate::FeatureMap`], and candle's tape has one operation for the whole
/// encoder; elsewhere they are tensor operations.
#[derive(Clone)]
pub struct TokenMap(pub(in crate::graph) Repr);

#[derive(Clone)]
pub(in crate::graph) enum Repr {
    Tensor(Tensor),
    Rows(Recording, Rows),
}

/// Recorded token vectors.
#[derive(Clone)]
pub(in crate::graph) struct Rows {
    /// The slot of their gradient.
    pub(in crate::graph) slot: usize,
    pub(in crate::graph) data: Arc<Values>,
    pub(in crate::graph) width: usize,
}

impl Rows {
    pub(in crate::graph) fn new(recording: &Recording, data: Pooled, width: usize) -> Self {
        Self { slot: recording.slot(), data: Arc::new(Values::Own(data)), width }
    }

    /// The number of tokens.
    pub(in crate::graph) fn rows(&self) -> usize {
        self.data.len() / self.width
    }
}

/// Number of values in a task of a thread.
pub(super) const BLOCK: usize = 1 << 14;

/// Whether a tensor can be the input of a recording.
pub(super) fn recordable(xs: &Tensor) -> bool {
    ops::has_kernel(xs) && xs.dtype() == DType::F32
}

impl TokenMap {
    /// Starts a body with vectors (tokens, channels); it is recorded for f32 on the CPU.
    ///
    /// # Errors
    /// Returns an error where xs has another rank, or is empty.
    pub fn from_tensor(xs: &Tensor, pass: &Pass) -> Result<Self> {
        let (rows, width) = xs.dims2()?;
        if rows * width == 0 {
            bail!("token vectors of shape {:?} are empty", xs.dims())
        }
        if !recordable(xs) {
            return Ok(Self(Repr::Tensor(xs.clone())));
        }
        let to_input = pass.records() && (xs.track_op() || xs.is_variable());
        let recording = Recording::begin(xs.clone(), Mode { record: pass.records(), to_input, ..Mode::default() }, pass);
        let values = xs.contiguous()?.detach();
        with_values(&values, |_| ())?;
        let rows = Rows { slot: recording.slot(), data: Arc::new(Values::Tensor(values)), width };
        Ok(Self(Repr::Rows(recording, rows)))
    }

    /// Starts a body with vectors (tokens, channels), as tensor operations on any device.
    ///
    /// # Errors
    /// Returns an error where xs has another rank.
    pub fn unrecorded(xs: &Tensor) -> Result<Self> {
        xs.dims2()?;
        Ok(Self(Repr::Tensor(xs.clone())))
    }

    /// Returns the vectors as a tensor (tokens, channels) on candle's tape. This ends a recording.
    ///
    /// # Errors
    /// Returns an error where the recording has ended before.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match &self.0 {
            Repr::Tensor(xs) => Ok(xs.clone()),
            Repr::Rows(recording, rows) => {
                let values = Pooled::of(&rows.data.part(0..rows.data.len())).into_vec();
                recording.finish(values, (rows.rows(), rows.width).into(), Some(rows.slot))
            }
        }
    }

    /// Returns a copy of the vectors (tokens, channels), through which no gradient flows; a recording goes on.
    ///
    /// # Errors
    /// Returns candle's error where it cannot make the tensor.
    pub fn values(&self) -> Result<Tensor> {
        match &self.0 {
            Repr::Tensor(xs) => Ok(xs.detach()),
            Repr::Rows(_, rows) => {
                let values = rows.data.part(0..rows.data.len()).to_vec();
                Tensor::from_vec(values, (rows.rows(), rows.width), &candle_core::Device::Cpu)
            }
        }
    }

    /// Adds `other`; both must belong to one recording.
    ///
    /// # Errors
    /// Returns an error where the shapes differ, the maps belong to different recordings, or only one is recorded.
    pub fn add(&self, other: &Self) -> Result<Self> {
        Ok(Self(match (&self.0, &other.0) {
            (Repr::Tensor(xs), Repr::Tensor(ys)) => Repr::Tensor(sum(xs, ys)?),
            (Repr::Rows(recording, xs), Repr::Rows(theirs, ys)) if recording.is(theirs) => {
                Repr::Rows(recording.clone(), add(recording, xs, ys)?)
            }
            (Repr::Rows(..), Repr::Rows(..)) => {
                bail!("the two token maps belong to different recordings: compute both from one map")
            }
            _ => bail!("one token map is recorded and the other is a tensor: compute both from one map"),
        }))
    }

    /// Applies GELU, x·Φ(x) (Hendrycks, Gimpel 2016).
    ///
    /// # Errors
    /// Returns candle's error where the vectors are a tensor on a device without the operation.
    pub fn gelu_erf(&self) -> Result<Self> {
        self.either(ops::gelu_erf, |recording, xs| Ok(gelu(recording, xs)))
    }

    /// Applies dropout, as [`ops::dropout`]; each sequence draws from its own stream of `seed`.
    ///
    /// # Errors
    /// Returns an error where the rate is not in 0..1, or `packing` is that of another number of tokens.
    pub fn dropout(&self, rate: f64, seed: Seed, packing: &Packing) -> Result<Self> {
        ops::check_rate(rate)?;
        if rate == 0. {
            return Ok(self.clone());
        }
        self.either(
            |xs| {
                let (rows, width) = (packing.tokens(), packing.check(xs)?);
                let mut factors = vec![1f32; rows * width];
                packing.drop(&mut factors, width, rate, seed);
                xs * Tensor::from_vec(factors, (rows, width), xs.device())?.to_dtype(xs.dtype())?
            },
            |recording, xs| dropout(recording, xs, rate, seed, packing),
        )
    }

    /// Applies `tensor` to a tensor, or `rows` to recorded vectors.
    pub(in crate::graph) fn either(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        rows: impl FnOnce(&Recording, &Rows) -> Result<Rows>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Repr::Tensor(xs) => Repr::Tensor(tensor(xs)?),
            Repr::Rows(recording, xs) => Repr::Rows(recording.clone(), rows(recording, xs)?),
        }))
    }

    /// Applies a layer that is a function of padded sequences (N, L, C).
    ///
    /// # Errors
    /// Returns the error of the layer, or an error where the vectors are recorded: a network with such a layer passes
    /// `all_recordable: false` to [`TokenMap::embed`].
    pub fn on_padded(&self, packing: &Packing, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.0 {
            Repr::Tensor(xs) => Ok(Self(Repr::Tensor(packing.pack(&layer(&packing.pad(xs)?)?)?))),
            Repr::Rows(..) => bail!(
                "this layer cannot be applied to recorded token vectors: its Layer::recordable must return false, and the network must pass that to TokenMap::embed"
            ),
        }
    }
}

fn add(recording: &Recording, xs: &Rows, ys: &Rows) -> Result<Rows> {
    if (xs.data.len(), xs.width) != (ys.data.len(), ys.width) {
        bail!("add: token maps of {} and {} values", xs.data.len(), ys.data.len())
    }
    let mut sum = Pooled::of(&xs.data.part(0..xs.data.len()));
    ops::add_in_place(&mut sum, &ys.data.part(0..ys.data.len()));
    let sum = Rows::new(recording, sum, xs.width);
    let (slot, one, two) = (sum.slot, xs.slot, ys.slot);
    done("addition: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gradient = Arc::new(gradient.into_pooled());
        gradients.give(one, Values::Shared(gradient.clone()));
        gradients.give(two, Values::Shared(gradient));
        done("addition: backward");
    });
    Ok(sum)
}

fn gelu(recording: &Recording, xs: &Rows) -> Rows {
    let mut data = Pooled::take(xs.data.len());
    gelu_forward(Kernels::current(), Gelu::Erf, &xs.data.part(0..xs.data.len()), &mut data);
    let ys = Rows::new(recording, data, xs.width);
    let (slot, xs) = (ys.slot, xs.clone());
    done("GELU: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut dx = Pooled::take(xs.data.len());
        let len = dx.len();
        gelu_backward(Kernels::current(), Gelu::Erf, &xs.data.part(0..len), &gradient.part(0..len), &mut dx);
        gradients.give(xs.slot, Values::Own(dx));
        done("GELU: backward");
    });
    ys
}

/// Dropout; the backward pass draws the same random bits again.
fn dropout(recording: &Recording, xs: &Rows, rate: f64, seed: Seed, packing: &Packing) -> Result<Rows> {
    let (width, packing) = (xs.width, packing.clone());
    packing.check_tokens(xs.rows())?;
    let mut data = Pooled::of(&xs.data.part(0..xs.data.len()));
    packing.drop(&mut data, width, rate, seed);
    let ys = Rows::new(recording, data, width);
    let (slot, to) = (ys.slot, xs.slot);
    done("dropout: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gradient = gradient.into_pooled();
        packing.drop(&mut gradient, width, rate, seed);
        gradients.give(to, Values::Own(gradient));
        done("dropout: backward");
    });
    Ok(ys)
}

//! `TokenMap`: what flows between the layers of a text encoder.

use crate::Seed;
use crate::graph::buffer::{Buffer, Values};
use crate::graph::observe::done;
use crate::graph::recording::{Mode, Recording};
use crate::ops;
use crate::ops::with_values;
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{DType, Result, Tensor, bail};
use sncn_kernels::gelu::{Gelu, gelu_backward, gelu_forward};
use sncn_kernels::simd::Form as Kernels;
use std::sync::Arc;

/// Token vectors (tokens, channels) of sequences that lie one after another, without padding.
///
/// On the CPU in f32 they are recorded like a [`crate::FeatureMap`], and candle's tape sees an encoder as one operation;
/// elsewhere the same calls are tensor operations.
#[derive(Clone)]
pub struct TokenMap(pub(in crate::graph) Form);

#[derive(Clone)]
pub(in crate::graph) enum Form {
    Tensor(Tensor),
    Rows(Recording, Rows),
}

/// Recorded token vectors.
#[derive(Clone)]
pub(in crate::graph) struct Rows {
    /// Where their gradient is gathered.
    pub(in crate::graph) slot: usize,
    pub(in crate::graph) data: Arc<Values>,
    pub(in crate::graph) width: usize,
}

impl Rows {
    pub(in crate::graph) fn new(recording: &Recording, data: Buffer, width: usize) -> Self {
        Self { slot: recording.slot(), data: Arc::new(Values::Own(data)), width }
    }

    /// Tokens.
    pub(in crate::graph) fn rows(&self) -> usize {
        self.data.len() / self.width
    }
}

/// Values that one thread takes at a time.
pub(super) const BLOCK: usize = 1 << 14;

/// Whether a tensor can be read by a recording.
pub(super) fn recordable(xs: &Tensor) -> bool {
    ops::has_kernel(xs) && xs.dtype() == DType::F32
}

impl TokenMap {
    /// Starts with vectors (tokens, channels) on candle's tape.
    ///
    /// # Errors
    /// Where the shape does not fit, or there is nothing in it.
    pub fn from_tensor(xs: &Tensor, pass: &Pass) -> Result<Self> {
        let (rows, width) = xs.dims2()?;
        if rows * width == 0 {
            bail!("token vectors of shape {:?} hold nothing", xs.dims())
        }
        if !recordable(xs) {
            return Ok(Self(Form::Tensor(xs.clone())));
        }
        let to_input = pass.train && (xs.track_op() || xs.is_variable());
        let recording = Recording::begin(xs.clone(), Mode { record: pass.train, to_input, ..Mode::default() });
        let values = xs.contiguous()?.detach();
        with_values(&values, |_| ())?;
        let rows = Rows { slot: recording.slot(), data: Arc::new(Values::Tensor(values)), width };
        Ok(Self(Form::Rows(recording, rows)))
    }

    /// Starts with vectors (tokens, channels) as tensor operations.
    ///
    /// # Errors
    /// Where the shape does not fit.
    pub fn unrecorded(xs: &Tensor) -> Result<Self> {
        xs.dims2()?;
        Ok(Self(Form::Tensor(xs.clone())))
    }

    /// The vectors on candle's tape. A recording gives one tensor: this ends it.
    ///
    /// # Errors
    /// Where the recording has ended before.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match &self.0 {
            Form::Tensor(xs) => Ok(xs.clone()),
            Form::Rows(recording, rows) => {
                let values = Buffer::of(&rows.data.part(0..rows.data.len())).into_vec();
                recording.finish(values, (rows.rows(), rows.width).into(), Some(rows.slot))
            }
        }
    }

    /// A copy of the vectors (tokens, channels), through which no gradient flows; the recording goes on.
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn values(&self) -> Result<Tensor> {
        match &self.0 {
            Form::Tensor(xs) => Ok(xs.detach()),
            Form::Rows(_, rows) => {
                let values = rows.data.part(0..rows.data.len()).to_vec();
                Tensor::from_vec(values, (rows.rows(), rows.width), &candle_core::Device::Cpu)
            }
        }
    }

    /// The sum of two maps of one recording.
    ///
    /// # Errors
    /// Where shapes do not fit, or the maps belong to two recordings.
    pub fn add(&self, other: &Self) -> Result<Self> {
        Ok(Self(match (&self.0, &other.0) {
            (Form::Tensor(xs), Form::Tensor(ys)) => Form::Tensor((xs + ys)?),
            (Form::Rows(recording, xs), Form::Rows(theirs, ys)) if recording.is(theirs) => {
                Form::Rows(recording.clone(), add(recording, xs, ys)?)
            }
            (Form::Rows(..), Form::Rows(..)) => {
                bail!("token maps of different recordings meet: start one map and make both from it")
            }
            _ => bail!("recorded token vectors and a tensor meet: start one map and make both from it"),
        }))
    }

    /// x·Φ(x) (Hendrycks, Gimpel 2016).
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn gelu_erf(&self) -> Result<Self> {
        self.either(ops::gelu_erf, |recording, xs| Ok(gelu(recording, xs)))
    }

    /// Every value dropped with probability `rate`, else scaled; each sequence draws from its own stream.
    ///
    /// # Errors
    /// Where the rate is not in 0..1, or the sequences are not of these tokens.
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

    /// An operation of these vectors: `tensor` on a tensor, `rows` on recorded vectors.
    pub(in crate::graph) fn either(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        rows: impl FnOnce(&Recording, &Rows) -> Result<Rows>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Form::Tensor(xs) => Form::Tensor(tensor(xs)?),
            Form::Rows(recording, xs) => Form::Rows(recording.clone(), rows(recording, xs)?),
        }))
    }

    /// A layer that works on padded sequences (N, L, C), where this is a tensor.
    ///
    /// # Errors
    /// As the layer, or where the vectors are recorded.
    pub fn on_padded(&self, packing: &Packing, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        match &self.0 {
            Form::Tensor(xs) => Ok(Self(Form::Tensor(packing.pack(&layer(&packing.pad(xs)?)?)?))),
            Form::Rows(..) => bail!(
                "a layer without a recorded form meets recorded token vectors: have its Layer::recordable say false, and hand that to TokenMap::embed"
            ),
        }
    }
}

fn add(recording: &Recording, xs: &Rows, ys: &Rows) -> Result<Rows> {
    if (xs.data.len(), xs.width) != (ys.data.len(), ys.width) {
        bail!("token maps of {} and {} values do not add", xs.data.len(), ys.data.len())
    }
    let mut sum = Buffer::of(&xs.data.part(0..xs.data.len()));
    ops::add_in_place(&mut sum, &ys.data.part(0..ys.data.len()));
    let sum = Rows::new(recording, sum, xs.width);
    let (slot, one, two) = (sum.slot, xs.slot, ys.slot);
    done("addition: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gradient = Arc::new(gradient.into_buffer());
        gradients.give(one, Values::Shared(gradient.clone()));
        gradients.give(two, Values::Shared(gradient));
        done("addition: backward");
    });
    Ok(sum)
}

fn gelu(recording: &Recording, xs: &Rows) -> Rows {
    let mut data = Buffer::take(xs.data.len());
    gelu_forward(Kernels::current(), Gelu::Erf, &xs.data.part(0..xs.data.len()), &mut data);
    let ys = Rows::new(recording, data, xs.width);
    let (slot, xs) = (ys.slot, xs.clone());
    done("GELU: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut dx = Buffer::take(xs.data.len());
        let len = dx.len();
        gelu_backward(Kernels::current(), Gelu::Erf, &xs.data.part(0..len), &gradient.part(0..len), &mut dx);
        gradients.give(xs.slot, Values::Own(dx));
        done("GELU: backward");
    });
    ys
}

/// Backward draws the same bits again.
fn dropout(recording: &Recording, xs: &Rows, rate: f64, seed: Seed, packing: &Packing) -> Result<Rows> {
    let (width, packing) = (xs.width, packing.clone());
    packing.check_tokens(xs.rows())?;
    let mut data = Buffer::of(&xs.data.part(0..xs.data.len()));
    packing.drop(&mut data, width, rate, seed);
    let ys = Rows::new(recording, data, width);
    let (slot, to) = (ys.slot, xs.slot);
    done("dropout: forward");
    recording.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gradient = gradient.into_buffer();
        packing.drop(&mut gradient, width, rate, seed);
        gradients.give(to, Values::Own(gradient));
        done("dropout: backward");
    });
    Ok(ys)
}

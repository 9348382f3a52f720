//! `TokenMap`: what flows between the layers of a text encoder: token vectors (tokens, channels) of sequences that lie one after
//! another, without padding.
//!
//! On the CPU in f32 it is a recording like a [`super::FeatureMap`]'s, and candle's tape sees the encoder as one operation;
//! elsewhere the same calls are tensor operations (the slow twin). Layers that look at padded sequences (N, L, C) are run on the
//! tape between two recordings.

mod attention;
mod embed;
mod linear;
mod norm;
mod packing;

pub use attention::Attention;
pub use embed::Lookup;
pub use packing::Packing;

use super::Graph;
use super::buffer::{Buffer, Values};
use super::observe::done;
use crate::Seed;
use crate::ops;
use crate::pass::Pass;
use candle_core::{DType, Result, Tensor, bail};
use sncn_kernels::gelu::{Gelu, gelu_backward, gelu_forward};
use sncn_kernels::simd::Form as Kernels;
use std::sync::Arc;

/// Token vectors (tokens, channels).
#[derive(Clone)]
pub struct TokenMap(Form);

#[derive(Clone)]
enum Form {
    Tensor(Tensor),
    Rows(Graph, Rows),
}

/// Recorded token vectors.
#[derive(Clone)]
struct Rows {
    /// Where their gradient is gathered.
    slot: usize,
    data: Arc<Values>,
    width: usize,
    /// What the recording began with, on the tape.
    origin: Option<Tensor>,
}

impl Rows {
    fn new(graph: &Graph, data: Buffer, width: usize) -> Self {
        Self { slot: graph.slot(), data: Arc::new(Values::Own(data)), width, origin: None }
    }

    fn rows(&self) -> usize {
        self.data.len() / self.width
    }
}

/// Whether a tensor can be read by a recording.
fn recordable(xs: &Tensor) -> bool {
    xs.device().is_cpu() && xs.dtype() == DType::F32
}

impl TokenMap {
    /// Starts with vectors (tokens, channels) on the tape.
    ///
    /// # Errors
    /// Where the shape does not fit, or there is nothing in it.
    pub fn start(xs: &Tensor, pass: &Pass) -> Result<Self> {
        let (rows, width) = xs.dims2()?;
        if rows * width == 0 {
            bail!("token vectors of shape {:?} hold nothing", xs.dims())
        }
        if !recordable(xs) {
            return Ok(Self(Form::Tensor(xs.clone())));
        }
        let graph = Graph::default();
        {
            let mut recorder = graph.0.borrow_mut();
            recorder.record = pass.train;
            recorder.input = Some(xs.clone());
            recorder.to_input = pass.train && (xs.track_op() || xs.is_variable());
        }
        let values = xs.contiguous()?.detach();
        super::end::with_values(&values, |_| ())?;
        let rows = Rows { slot: graph.slot(), data: Arc::new(Values::Tensor(values)), width, origin: Some(xs.clone()) };
        Ok(Self(Form::Rows(graph, rows)))
    }

    /// The vectors on candle's tape. A recording gives one result: others of the same recording are lost, but for what it
    /// began with.
    ///
    /// # Errors
    /// Where the recording has given its result.
    pub fn to_tensor(&self) -> Result<Tensor> {
        match &self.0 {
            Form::Tensor(xs) => Ok(xs.clone()),
            Form::Rows(_, Rows { origin: Some(xs), .. }) => Ok(xs.clone()),
            Form::Rows(graph, rows) => {
                let values = Buffer::of(&rows.data.part(0..rows.data.len())).into_vec();
                graph.finish(values, (rows.rows(), rows.width).into(), Some(rows.slot))
            }
        }
    }

    /// Ends a recording here and starts another.
    ///
    /// # Errors
    /// As [`TokenMap::to_tensor`].
    pub fn cut(&self, pass: &Pass) -> Result<Self> {
        Self::start(&self.to_tensor()?, pass)
    }

    /// Runs a layer that takes padded sequences (N, L, C), on the tape.
    ///
    /// # Errors
    /// As the layer.
    pub fn padded(&self, packing: &Packing, pass: &Pass, layer: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Self::start(&packing.pack(&layer(&packing.pad(&self.to_tensor()?)?)?)?, pass)
    }

    /// The sum of two maps. Where one was taken off the recording, so is the sum.
    ///
    /// # Errors
    /// Where shapes do not fit.
    pub fn add(&self, other: &Self, pass: &Pass) -> Result<Self> {
        match (&self.0, &other.0) {
            (Form::Rows(graph, xs), Form::Rows(same, ys)) if graph.is(same) => {
                Ok(Self(Form::Rows(graph.clone(), add(graph, xs, ys)?)))
            }
            _ => {
                let sum = (self.to_tensor()? + other.to_tensor()?)?;
                Self::start(&sum, pass)
            }
        }
    }

    /// x·Φ(x) (Hendrycks, Gimpel 2016).
    ///
    /// # Errors
    /// Where a tensor cannot be made.
    pub fn gelu(&self) -> Result<Self> {
        self.changed(ops::gelu_erf, |graph, xs| Ok(gelu(graph, xs)))
    }

    /// Every value dropped with probability `rate`, else scaled; each sequence draws from its own stream.
    ///
    /// # Errors
    /// Where the rate is not in 0..1.
    pub fn dropout(&self, rate: f64, seed: Seed, packing: &Packing) -> Result<Self> {
        ops::check_rate(rate)?;
        if rate == 0. {
            return Ok(self.clone());
        }
        self.changed(
            |xs| {
                let (rows, width) = xs.dims2()?;
                let mut factors = vec![1f32; rows * width];
                packing.drop(&mut factors, width, rate, seed);
                xs * Tensor::from_vec(factors, (rows, width), xs.device())?.to_dtype(xs.dtype())?
            },
            |graph, xs| Ok(dropout(graph, xs, rate, seed, packing)),
        )
    }

    fn changed(
        &self,
        tensor: impl FnOnce(&Tensor) -> Result<Tensor>,
        rows: impl FnOnce(&Graph, &Rows) -> Result<Rows>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Form::Tensor(xs) => Form::Tensor(tensor(xs)?),
            Form::Rows(graph, xs) => Form::Rows(graph.clone(), rows(graph, xs)?),
        }))
    }
}

/// Values that one thread takes at a time.
const BLOCK: usize = 1 << 14;

fn add(graph: &Graph, xs: &Rows, ys: &Rows) -> Result<Rows> {
    if (xs.data.len(), xs.width) != (ys.data.len(), ys.width) {
        bail!("token maps of {} and {} values do not add", xs.data.len(), ys.data.len())
    }
    let mut sum = Buffer::of(&xs.data.part(0..xs.data.len()));
    ops::add_in_place(&mut sum, &ys.data.part(0..ys.data.len()));
    let sum = Rows::new(graph, sum, xs.width);
    let (slot, one, two) = (sum.slot, xs.slot, ys.slot);
    done("addition: forward");
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let gradient = Arc::new(gradient.into_buffer());
        gradients.give(one, Values::Shared(gradient.clone()));
        gradients.give(two, Values::Shared(gradient));
        done("addition: backward");
    });
    Ok(sum)
}

fn gelu(graph: &Graph, xs: &Rows) -> Rows {
    let mut data = Buffer::take(xs.data.len());
    gelu_forward(Kernels::current(), Gelu::Erf, &xs.data.part(0..xs.data.len()), &mut data);
    let ys = Rows::new(graph, data, xs.width);
    let (slot, xs) = (ys.slot, xs.clone());
    done("GELU: forward");
    graph.record(move |gradients| {
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
fn dropout(graph: &Graph, xs: &Rows, rate: f64, seed: Seed, packing: &Packing) -> Rows {
    let (width, packing) = (xs.width, packing.clone());
    let mut data = Buffer::of(&xs.data.part(0..xs.data.len()));
    packing.drop(&mut data, width, rate, seed);
    let ys = Rows::new(graph, data, width);
    let (slot, to) = (ys.slot, xs.slot);
    done("dropout: forward");
    graph.record(move |gradients| {
        let Some(gradient) = gradients.take(slot) else { return };
        let mut gradient = gradient.into_buffer();
        packing.drop(&mut gradient, width, rate, seed);
        gradients.give(to, Values::Own(gradient));
        done("dropout: backward");
    });
    ys
}

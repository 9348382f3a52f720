//! A recorded map: values, a pending scale and bias for every (instance, channel), a pending activation, and statistics.

use super::body::Body;
use super::later::{After, Write};
use super::pooled::{Part, Pooled, Values};
use super::recording::{Gradients, Recording, Sums};
use crate::ops::with_values;
use crate::rule::Moments;
use crate::stats::Positions;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation};
use sncn_kernels::simd::Form as Kernels;
use std::sync::{Arc, OnceLock};

/// A pending y = scale·x + bias, with scale and bias (N, C).
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// A map (N, H, W, C). Its values are activation(scale·body + bias): operations apply what is pending as they read the body.
#[derive(Clone)]
pub(super) struct Map {
    /// The slot of its gradient: that of scale·body + bias, before the activation.
    pub(super) slot: usize,
    pub(super) dims: (usize, usize, usize, usize),
    pub(super) body: Body,
    /// Statistics of the body.
    raw: Arc<OnceLock<Moments>>,
    pub(super) pending: Option<Arc<Pending>>,
    activation: Activation,
    /// The same map with nothing pending, where it was written so. Copies of this map share it, other maps of the body do not.
    written: Arc<OnceLock<Map>>,
}

impl Map {
    pub(super) fn new(recording: &Recording, dims: (usize, usize, usize, usize), data: Pooled) -> Self {
        Self::of(recording.slot(), dims, Values::Own(data))
    }

    /// A map of these values, with nothing pending.
    pub(super) fn of(slot: usize, dims: (usize, usize, usize, usize), data: Values) -> Self {
        Self::with_body(slot, dims, Body::new(Arc::new(data), std::iter::repeat_n(dims.1 * dims.2, dims.0), dims.3))
    }

    /// A map whose values are written when they are first needed; for passes that record no backward pass.
    pub(super) fn later(recording: &Recording, dims: (usize, usize, usize, usize), write: Write) -> Self {
        let lengths = std::iter::repeat_n(dims.1 * dims.2, dims.0);
        Self::with_body(recording.slot(), dims, Body::later(write, lengths, dims.3))
    }

    fn with_body(slot: usize, dims: (usize, usize, usize, usize), body: Body) -> Self {
        let activation = Activation::Identity;
        Self { slot, dims, body, raw: Arc::default(), pending: None, activation, written: Arc::default() }
    }

    /// The input of a recording.
    pub(super) fn input(recording: &Recording, xs: &Tensor) -> Result<Self> {
        let dims = xs.dims4()?;
        if xs.elem_count() == 0 {
            bail!("a batch of shape {:?} is empty", xs.dims())
        }
        // detached: the recording is an operation on the tensor, and must not hold the tensor's own history
        let xs = xs.contiguous()?.detach();
        with_values(&xs, |_| ())?;
        Ok(Self::of(recording.slot(), dims, Values::Tensor(xs)))
    }

    /// The same map with another slot.
    pub(super) fn at_slot(&self, slot: usize) -> Self {
        Self { slot, ..self.clone() }
    }

    /// The same body with another pending affine map and another slot.
    pub(super) fn with_pending(&self, slot: usize, scale: Vec<f32>, bias: Vec<f32>) -> Self {
        Self { pending: Some(Arc::new(Pending { scale, bias })), written: Arc::default(), ..self.at_slot(slot) }
    }

    /// The same map with statistics that were computed while the body was written.
    pub(super) fn with_moments(self, moments: Moments) -> Self {
        let raw = OnceLock::new();
        let _ = raw.set(moments); // new, so it is empty
        Self { raw: Arc::new(raw), ..self }
    }

    /// Whether an activation is pending.
    pub(super) fn has_activation(&self) -> bool {
        self.activation != Activation::Identity
    }

    /// The same map with a pending activation.
    pub(super) fn with_activation(&self, recording: &Recording, activation: Activation) -> Self {
        let (slot, to) = (recording.slot(), self.slot);
        recording.record(move |gradients| {
            let sums = gradients.take_sums(slot);
            if let Some(gradient) = gradients.take(slot) {
                gradients.give_summed(to, gradient, sums);
            }
        });
        let entries = self.dims.0 * self.dims.3;
        let identity = || Arc::new(Pending { scale: vec![1.; entries], bias: vec![0.; entries] });
        let pending = Some(self.pending.clone().unwrap_or_else(identity));
        Self { activation, pending, written: Arc::default(), ..self.at_slot(slot) }
    }

    /// Whether the values are not written yet, and no other map needs them without what is pending here.
    pub(super) fn is_alone_and_unwritten(&self) -> bool {
        !self.body.is_written() && self.written.get().is_none() && self.body.holders() == Arc::strong_count(&self.written)
    }

    /// Writes values that do not exist yet to `data`: what is pending is applied to each part, then `after`.
    pub(super) fn write(&self, after: &After<'_>, data: &mut [f32]) {
        let activate = |n: usize, start: usize, ys: &mut [f32]| {
            if let Some(pending) = &self.pending {
                let (scale, bias) = (self.row(&pending.scale, n), self.row(&pending.bias, n));
                rows::activate_in_place(Kernels::current(), ys, scale, bias, self.activation);
            }
            after(n, start, ys);
        };
        self.body.write(&activate, data);
    }

    /// The map to read values from. Where they are not written yet, they are written now, if possible with what is pending applied.
    pub(super) fn ready(&self, recording: &Recording) -> Self {
        if self.pending.is_some() && self.is_alone_and_unwritten() {
            let mut data = Pooled::take(self.body.len());
            self.write(&|_, _, _| {}, &mut data);
            let _ = self.written.set(Self::new(recording, self.dims, data)); // was not set
        }
        match self.written.get() {
            Some(written) => written.clone(),
            None => {
                self.body.data();
                self.clone()
            }
        }
    }

    pub(super) fn positions(&self) -> usize {
        self.dims.1 * self.dims.2
    }

    pub(super) fn instance_len(&self) -> usize {
        self.positions() * self.dims.3
    }

    /// `len` values of the body of instance `n`, from position `start` on.
    pub(super) fn positions_from(&self, n: usize, start: usize, len: usize) -> Part<'_> {
        self.body.part(n, &(start..start + len / self.dims.3))
    }

    /// Row n of a matrix (N, C).
    pub(super) fn row<'a, T>(&self, matrix: &'a [T], n: usize) -> &'a [T] {
        &matrix[n * self.dims.3..(n + 1) * self.dims.3]
    }

    /// The pending scale and bias of entry i of (N, C).
    pub(super) fn pending_at(&self, i: usize) -> (f64, f64) {
        self.pending.as_ref().map_or((1., 0.), |pending| (f64::from(pending.scale[i]), f64::from(pending.bias[i])))
    }

    /// The statistics of the body.
    pub(super) fn raw(&self) -> &Moments {
        self.raw.get_or_init(|| self.body.moments(&Positions::All))
    }

    /// The means of the body in f32, relative to which sums are computed.
    pub(super) fn centres(&self) -> Vec<f32> {
        self.raw().mean.iter().map(|&mean| mean as f32).collect()
    }

    /// The statistics of scale·body + bias, given those of the body.
    pub(super) fn seen(&self, raw: &Moments) -> Moments {
        let mean = raw.mean.iter().enumerate().map(|(i, mean)| self.pending_at(i).0 * mean + self.pending_at(i).1).collect();
        Moments {
            mean,
            variance: raw.variance.iter().enumerate().map(|(i, variance)| self.pending_at(i).0.powi(2) * variance).collect(),
        }
    }

    /// Σ G and Σ G·(x − m) of the gradient G that was taken from `slot`, with the body x; where the sums were computed with the
    /// gradient, these.
    pub(super) fn sums(&self, gradients: &mut Gradients, slot: usize, gradient: &Values) -> Sums {
        gradients.take_sums(slot).unwrap_or_else(|| self.body.sums(gradient, &Positions::All, &self.centres()))
    }

    /// Writes the positions of instance `n` from `start` on, with what is pending applied.
    pub(super) fn read(&self, n: usize, start: usize, out: &mut [f32]) {
        let xs = self.positions_from(n, start, out.len());
        match &self.pending {
            Some(pending) => rows::activate(
                Kernels::current(),
                &xs,
                self.row(&pending.scale, n),
                self.row(&pending.bias, n),
                self.activation,
                out,
            ),
            None => out.copy_from_slice(&xs),
        }
    }

    /// Adds the positions of instance `n` from `start` on to `out`; there must be no pending activation.
    pub(super) fn add_to(&self, n: usize, start: usize, out: &mut [f32]) {
        let xs = self.positions_from(n, start, out.len());
        match &self.pending {
            Some(pending) => {
                rows::add_affine(Kernels::current(), out, &xs, self.row(&pending.scale, n), self.row(&pending.bias, n))
            }
            None => out.iter_mut().zip(&*xs).for_each(|(out, x)| *out += x),
        }
    }

    /// Runs the backward pass of the pending activation at the positions of instance `n` from `start` on, and adds the gradient's sums
    /// to `one` and `two`.
    pub(super) fn activation_backward(
        &self,
        n: usize,
        start: usize,
        gradient: &mut [f32],
        centres: &[f32],
        one: &mut [f64],
        two: &mut [f64],
    ) {
        let xs = self.positions_from(n, start, gradient.len());
        if let Some(pending) = &self.pending {
            rows::activate_backward(
                Kernels::current(),
                gradient,
                &xs,
                self.row(&pending.scale, n),
                self.row(&pending.bias, n),
                self.activation,
            );
        }
        rows::product_sums(Kernels::current(), gradient, &xs, self.row(centres, n), one, two);
    }

    /// Adds the gradient (N, positions, C) that `fill(n, …)` writes for each instance, through the pending activation.
    pub(super) fn give(&self, gradients: &mut Gradients, mut gradient: Pooled, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let len = self.instance_len();
        if !self.has_activation() {
            gradient.par_chunks_exact_mut(len).enumerate().for_each(|(n, g)| fill(n, g));
            return gradients.give(self.slot, Values::Own(gradient));
        }
        let (c, centres, mut sums) = (self.dims.3, self.centres(), Sums::zeros(self.dims.0 * self.dims.3));
        let rows = sums.one.par_chunks_exact_mut(c).zip(sums.two.par_chunks_exact_mut(c));
        gradient.par_chunks_exact_mut(len).zip(rows).enumerate().for_each(|(n, (g, (one, two)))| {
            fill(n, g);
            self.activation_backward(n, 0, g, &centres, one, two);
        });
        gradients.give_summed(self.slot, Values::Own(gradient), Some(sums));
    }

    /// The map with what is pending applied.
    pub(super) fn materialize(&self, recording: &Recording) -> Self {
        if self.pending.is_none() {
            return self.clone();
        }
        let mut data = Pooled::take(self.body.len());
        data.par_chunks_exact_mut(self.instance_len()).enumerate().for_each(|(n, out)| self.read(n, 0, out));
        let written = Self::new(recording, self.dims, data);
        let written = if self.has_activation() { written } else { written.with_moments(self.seen(self.raw())) };
        let (slot, map) = (written.slot, self.clone());
        recording.record(move |gradients| match gradients.take(slot) {
            Some(gradient) if map.has_activation() => map.give(gradients, gradient.into_pooled(), |_, _| {}),
            Some(gradient) => gradients.give(map.slot, gradient),
            None => {}
        });
        written
    }

    /// The map with a pending activation applied; an affine map stays pending, and values that are not written yet may stay so.
    pub(super) fn settled(&self, recording: &Recording) -> Self {
        match self.written.get() {
            Some(written) => written.clone(),
            None if self.has_activation() => self.ready(recording).materialize(recording),
            None => self.clone(),
        }
    }
}

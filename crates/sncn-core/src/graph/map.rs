//! A recorded map: values, a pending scale, bias and activation for every (instance, channel), and statistics.

use super::body::Body;
use super::buffer::{Buffer, Part, Values};
use super::recording::{Gradients, Recording, Sums};
use crate::ops::with_values;
use crate::rule::Moments;
use crate::stats::Positions;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Activation};
use std::sync::{Arc, OnceLock};

/// A pending y = scale·x + bias, each (N, C).
#[derive(Debug)]
pub(super) struct View {
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// A map (N, H, W, C) that its readers see as activation(scale·data + bias).
#[derive(Clone)]
pub(super) struct Map {
    /// Where its gradient is gathered; a gradient of what is read, taken back through the activation.
    pub(super) slot: usize,
    pub(super) dims: (usize, usize, usize, usize),
    pub(super) body: Body,
    /// Of the values, before the view.
    raw: Arc<OnceLock<Moments>>,
    pub(super) view: Option<Arc<View>>,
    activation: Activation,
}

impl Map {
    pub(super) fn new(recording: &Recording, dims: (usize, usize, usize, usize), data: Buffer) -> Self {
        Self::of(recording.slot(), dims, Values::Own(data))
    }

    /// Values whose gradient is gathered in that slot.
    pub(super) fn of(slot: usize, dims: (usize, usize, usize, usize), data: Values) -> Self {
        let body = Body::new(Arc::new(data), std::iter::repeat_n(dims.1 * dims.2, dims.0), dims.3);
        Self { slot, dims, body, raw: Arc::default(), view: None, activation: Activation::Identity }
    }

    /// The batch as it comes.
    pub(super) fn input(recording: &Recording, xs: &Tensor) -> Result<Self> {
        let dims = xs.dims4()?;
        if xs.elem_count() == 0 {
            bail!("a batch of shape {:?} holds nothing", xs.dims())
        }
        // detached: the recording is an operation on the tensor, not a part of its own history
        let xs = xs.contiguous()?.detach();
        with_values(&xs, |_| ())?;
        Ok(Self::of(recording.slot(), dims, Values::Tensor(xs)))
    }

    /// The same map with its gradient gathered at another slot.
    pub(super) fn at_slot(&self, slot: usize) -> Self {
        Self { slot, ..self.clone() }
    }

    /// The same values with another view, their gradient gathered at `slot`.
    pub(super) fn viewed(&self, slot: usize, scale: Vec<f32>, bias: Vec<f32>) -> Self {
        Self { view: Some(Arc::new(View { scale, bias })), ..self.at_slot(slot) }
    }

    /// Keeps statistics that were gathered while the values were written.
    pub(super) fn with_moments(self, moments: Moments) -> Self {
        let raw = OnceLock::new();
        let _ = raw.set(moments); // just made: it is empty
        Self { raw: Arc::new(raw), ..self }
    }

    /// Whether an activation is pending.
    pub(super) fn has_activation(&self) -> bool {
        self.activation != Activation::Identity
    }

    /// The map with an activation, which whoever reads it applies.
    pub(super) fn with_activation(&self, recording: &Recording, activation: Activation) -> Self {
        let (slot, to) = (recording.slot(), self.slot);
        recording.record(move |gradients| {
            let sums = gradients.take_sums(slot);
            if let Some(gradient) = gradients.take(slot) {
                gradients.give_summed(to, gradient, sums);
            }
        });
        let entries = self.dims.0 * self.dims.3;
        let identity = || Arc::new(View { scale: vec![1.; entries], bias: vec![0.; entries] });
        Self { activation, view: Some(self.view.clone().unwrap_or_else(identity)), ..self.at_slot(slot) }
    }

    pub(super) fn positions(&self) -> usize {
        self.dims.1 * self.dims.2
    }

    pub(super) fn instance_len(&self) -> usize {
        self.positions() * self.dims.3
    }

    /// `len` values of instance `n` from position `start` on, before the view.
    pub(super) fn positions_from(&self, n: usize, start: usize, len: usize) -> Part<'_> {
        self.body.part(n, &(start..start + len / self.dims.3))
    }

    /// Row n of a table (N, C).
    pub(super) fn row<'a, T>(&self, table: &'a [T], n: usize) -> &'a [T] {
        &table[n * self.dims.3..(n + 1) * self.dims.3]
    }

    /// Scale and bias of the view.
    pub(super) fn at(&self, i: usize) -> (f64, f64) {
        self.view.as_ref().map_or((1., 0.), |view| (f64::from(view.scale[i]), f64::from(view.bias[i])))
    }

    /// Statistics of the values before the view.
    pub(super) fn raw(&self) -> &Moments {
        self.raw.get_or_init(|| self.body.moments(&Positions::All))
    }

    /// The centres of sums over the map, in f32.
    pub(super) fn centres(&self) -> Vec<f32> {
        self.raw().mean.iter().map(|&mean| mean as f32).collect()
    }

    /// These statistics of the values, with the view.
    pub(super) fn seen(&self, raw: &Moments) -> Moments {
        let mean = raw.mean.iter().enumerate().map(|(i, mean)| self.at(i).0 * mean + self.at(i).1).collect();
        Moments { mean, variance: raw.variance.iter().enumerate().map(|(i, variance)| self.at(i).0.powi(2) * variance).collect() }
    }

    /// Σ G and Σ G·(x − m) of a gradient of these values that was taken from `slot`: where an activation follows, whoever took it
    /// back through the activation summed it too.
    pub(super) fn sums(&self, gradients: &mut Gradients, slot: usize, gradient: &Values) -> Sums {
        gradients.take_sums(slot).unwrap_or_else(|| self.body.sums(gradient, &Positions::All, &self.centres()))
    }

    /// Writes positions `start ..` of instance `n` as they are read.
    pub(super) fn read(&self, n: usize, start: usize, out: &mut [f32]) {
        let xs = self.positions_from(n, start, out.len());
        match &self.view {
            Some(view) => rows::activate(&xs, self.row(&view.scale, n), self.row(&view.bias, n), self.activation, out),
            None => out.copy_from_slice(&xs),
        }
    }

    /// Adds positions `start ..` of instance `n` to `out`; no activation is pending.
    pub(super) fn add_to(&self, n: usize, start: usize, out: &mut [f32]) {
        let xs = self.positions_from(n, start, out.len());
        match &self.view {
            Some(view) => rows::add_affine(out, &xs, self.row(&view.scale, n), self.row(&view.bias, n)),
            None => out.iter_mut().zip(&*xs).for_each(|(out, x)| *out += x),
        }
    }

    /// Takes the gradient of positions `start ..` of instance `n` back through a pending activation, and sums it.
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
        if let Some(view) = &self.view {
            rows::activate_backward(gradient, &xs, self.row(&view.scale, n), self.row(&view.bias, n), self.activation);
        }
        rows::product_sums(gradient, &xs, self.row(centres, n), one, two);
    }

    /// Gives what is read a gradient (N, positions, C) that `fill(n, …)` completes instance by instance.
    pub(super) fn give(&self, gradients: &mut Gradients, mut gradient: Buffer, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let len = self.instance_len();
        if !self.has_activation() {
            gradient.par_chunks_exact_mut(len).enumerate().for_each(|(n, g)| fill(n, g));
            return gradients.give(self.slot, Values::Own(gradient));
        }
        let (c, centres, mut sums) = (self.dims.3, self.centres(), Sums::zeros(self.dims.0 * self.dims.3));
        let tables = sums.one.par_chunks_exact_mut(c).zip(sums.two.par_chunks_exact_mut(c));
        gradient.par_chunks_exact_mut(len).zip(tables).enumerate().for_each(|(n, (g, (one, two)))| {
            fill(n, g);
            self.activation_backward(n, 0, g, &centres, one, two);
        });
        gradients.give_summed(self.slot, Values::Own(gradient), Some(sums));
    }

    /// The map as it is read, written out; the same where nothing is pending.
    pub(super) fn materialize(&self, recording: &Recording) -> Self {
        if self.view.is_none() {
            return self.clone();
        }
        let mut data = Buffer::take(self.body.len());
        data.par_chunks_exact_mut(self.instance_len()).enumerate().for_each(|(n, out)| self.read(n, 0, out));
        let written = Self::new(recording, self.dims, data);
        let written = if self.has_activation() { written } else { written.with_moments(self.seen(self.raw())) };
        let (slot, map) = (written.slot, self.clone());
        recording.record(move |gradients| match gradients.take(slot) {
            Some(gradient) if map.has_activation() => map.give(gradients, gradient.into_buffer(), |_, _| {}),
            Some(gradient) => gradients.give(map.slot, gradient),
            None => {}
        });
        written
    }

    /// The map with a pending activation written out.
    pub(super) fn settled(&self, recording: &Recording) -> Self {
        if self.has_activation() { self.materialize(recording) } else { self.clone() }
    }
}

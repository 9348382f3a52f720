//! A recorded map: values, a pending scale and shift for every (instance, channel), and statistics.

use super::buffer::{Buffer, Part, Values};
use super::gather::Gather;
use super::recording::{Gradients, Recording, Sums};
use super::tensor::with_values;
use crate::rule::Moments;
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Curve};
use std::sync::{Arc, OnceLock};

/// A pending y = scale·x + shift, each (N, C).
#[derive(Debug)]
pub(super) struct View {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// A map (N, H, W, C).
#[derive(Clone)]
pub(super) struct Map {
    /// Where its gradient is gathered.
    pub(super) slot: usize,
    pub(super) dims: (usize, usize, usize, usize),
    pub(super) data: Arc<Values>,
    /// Of `data`, before the view.
    raw: Arc<OnceLock<Moments>>,
    pub(super) view: Option<Arc<View>>,
}

/// A map that the next reader normalises and bends: curve(scale·data + shift).
#[derive(Clone)]
pub(super) struct Activation {
    pub(super) map: Map,
    pub(super) slot: usize,
    /// With the map's view worked in.
    pub(super) tables: Arc<View>,
    pub(super) curve: Curve,
}

/// What a reader reads.
#[derive(Clone)]
pub(super) enum Source {
    Map(Map),
    Activation(Activation),
}

impl From<&Map> for Source {
    fn from(map: &Map) -> Self {
        Self::Map(map.clone())
    }
}

impl From<&Activation> for Source {
    fn from(activation: &Activation) -> Self {
        Self::Activation(activation.clone())
    }
}

impl Source {
    pub(super) fn map(&self) -> &Map {
        match self {
            Self::Map(map) => map,
            Self::Activation(activation) => &activation.map,
        }
    }

    /// Where the gradient of what is read is gathered.
    pub(super) fn slot(&self) -> usize {
        match self {
            Self::Map(map) => map.slot,
            Self::Activation(activation) => activation.slot,
        }
    }

    /// Writes positions `start ..` of instance `n` as they are read.
    pub(super) fn read(&self, n: usize, start: usize, out: &mut [f32]) {
        let (map, tables, curve) = match self {
            Self::Map(map) => (map, map.view.as_ref(), Curve::Line),
            Self::Activation(activation) => (&activation.map, Some(&activation.tables), activation.curve),
        };
        let xs = map.positions_from(n, start, out.len());
        match tables {
            Some(tables) => rows::activate(&xs, map.row(&tables.scale, n), map.row(&tables.shift, n), curve, out),
            None => out.copy_from_slice(&xs),
        }
    }

    /// Gives what is read a gradient (N, positions, C) that `fill(n, …)` writes instance by instance.
    pub(super) fn give(&self, gradients: &mut Gradients, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let gradient = Buffer::take(self.map().data.len());
        match self {
            Self::Activation(activation) => activation.give(gradients, gradient, fill),
            Self::Map(map) => {
                let mut gradient = gradient;
                gradient.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, g)| fill(n, g));
                gradients.give(map.slot, Values::Own(gradient));
            }
        }
    }
}

impl Map {
    pub(super) fn new(recording: &Recording, dims: (usize, usize, usize, usize), data: Buffer) -> Self {
        Self::with_slot(recording.slot(), dims, data)
    }

    /// Values whose gradient is gathered in that slot.
    pub(super) fn with_slot(slot: usize, dims: (usize, usize, usize, usize), data: Buffer) -> Self {
        Self { slot, dims, data: Arc::new(Values::Own(data)), raw: Arc::default(), view: None }
    }

    /// The batch as it comes.
    pub(super) fn input(recording: &Recording, xs: &Tensor) -> Result<Self> {
        let dims = xs.dims4()?;
        if dims.0 * dims.1 * dims.2 * dims.3 == 0 {
            bail!("a batch of shape {:?} holds nothing", xs.dims())
        }
        // detached: the recording is an operation on the tensor, not a part of its own history
        let xs = xs.contiguous()?.detach();
        with_values(&xs, |_| ())?;
        Ok(Self { slot: recording.slot(), dims, data: Arc::new(Values::Tensor(xs)), raw: Arc::default(), view: None })
    }

    /// The same map with its gradient gathered at another slot.
    pub(super) fn at_slot(&self, slot: usize) -> Self {
        Self { slot, ..self.clone() }
    }

    /// The same values with another view, as a new map.
    pub(super) fn viewed(&self, recording: &Recording, scale: Vec<f32>, shift: Vec<f32>) -> Self {
        self.under(recording.slot(), View { scale, shift })
    }

    /// The same values with this view, its gradient gathered at `slot`.
    pub(super) fn under(&self, slot: usize, view: View) -> Self {
        Self { slot, view: Some(Arc::new(view)), ..self.clone() }
    }

    /// Keeps statistics that were gathered while the values were written.
    pub(super) fn with_moments(self, moments: Moments) -> Self {
        let raw = OnceLock::new();
        let _ = raw.set(moments); // just made: it is empty
        Self { raw: Arc::new(raw), ..self }
    }

    pub(super) fn positions(&self) -> usize {
        self.dims.1 * self.dims.2
    }

    pub(super) fn instance_len(&self) -> usize {
        self.positions() * self.dims.3
    }

    pub(super) fn instance(&self, n: usize) -> Part<'_> {
        self.data.part(n * self.instance_len()..(n + 1) * self.instance_len())
    }

    /// `len` values of instance `n` from position `start` on.
    pub(super) fn positions_from(&self, n: usize, start: usize, len: usize) -> Part<'_> {
        let at = n * self.instance_len() + start * self.dims.3;
        self.data.part(at..at + len)
    }

    /// Row n of a table (N, C).
    pub(super) fn row<'a, T>(&self, table: &'a [T], n: usize) -> &'a [T] {
        &table[n * self.dims.3..(n + 1) * self.dims.3]
    }

    pub(super) fn scale(&self, i: usize) -> f64 {
        self.view.as_ref().map_or(1., |view| f64::from(view.scale[i]))
    }

    pub(super) fn shift(&self, i: usize) -> f64 {
        self.view.as_ref().map_or(0., |view| f64::from(view.shift[i]))
    }

    /// Statistics of the values before the view.
    pub(super) fn raw(&self) -> &Moments {
        self.raw.get_or_init(|| {
            let gather = Gather::default();
            (0..self.dims.0).into_par_iter().for_each(|n| gather.add(n, 0, &self.instance(n), self.dims.3));
            gather.moments(self.dims.0, self.dims.3)
        })
    }

    /// The centres of sums over the map, in f32.
    pub(super) fn centres(&self) -> Vec<f32> {
        self.raw().mean.iter().map(|&mean| mean as f32).collect()
    }

    /// Statistics with the view.
    pub(super) fn stats(&self) -> Moments {
        let raw = self.raw();
        let at = |i: usize| (self.scale(i), self.shift(i));
        let mean = raw.mean.iter().enumerate().map(|(i, mean)| at(i).0 * mean + at(i).1).collect();
        let variance = raw.variance.iter().enumerate().map(|(i, variance)| at(i).0 * at(i).0 * variance).collect();
        Moments { mean, variance }
    }

    /// Σ G and Σ G·(x − m) of a gradient of these values that was taken from `slot`: where a curve follows, whoever took it
    /// back through the curve summed it too.
    pub(super) fn sums(&self, gradients: &mut Gradients, slot: usize, gradient: &Values) -> Sums {
        if let Some(sums) = gradients.take_sums(slot) {
            return sums;
        }
        let (centres, c, len) = (self.centres(), self.dims.3, self.instance_len());
        let mut sums = Sums::zeros(self.dims.0 * c);
        sums.one.par_chunks_exact_mut(c).zip(sums.two.par_chunks_exact_mut(c)).enumerate().for_each(|(n, (one, two))| {
            rows::product_sums(&gradient.part(n * len..(n + 1) * len), &self.instance(n), self.row(&centres, n), one, two);
        });
        sums
    }
}

impl Map {
    /// Adds positions `start ..` of instance `n` to `out`.
    pub(super) fn add_to(&self, n: usize, start: usize, out: &mut [f32]) {
        let xs = self.positions_from(n, start, out.len());
        match &self.view {
            Some(view) => rows::add_affine(out, &xs, self.row(&view.scale, n), self.row(&view.shift, n)),
            None => out.iter_mut().zip(&*xs).for_each(|(out, x)| *out += x),
        }
    }
}

/// The map with its view applied.
pub(super) fn write(recording: &Recording, map: &Map) -> Map {
    if map.view.is_none() {
        return map.clone();
    }
    let mut data = Buffer::take(map.data.len());
    let source = Source::from(map);
    data.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, out)| source.read(n, 0, out));
    let written = Map::new(recording, map.dims, data).with_moments(map.stats());
    let (slot, to) = (written.slot, map.slot);
    recording.record(move |gradients| {
        if let Some(gradient) = gradients.take(slot) {
            gradients.give(to, gradient);
        }
    });
    written
}

/// An activation, written out.
pub(super) fn settle(recording: &Recording, activation: &Activation) -> Map {
    let map = &activation.map;
    let mut data = Buffer::take(map.data.len());
    let source = Source::from(activation);
    data.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, out)| source.read(n, 0, out));
    let settled = Map::new(recording, map.dims, data);
    let (slot, activation) = (settled.slot, activation.clone());
    recording.record(move |gradients| {
        if let Some(gradient) = gradients.take(slot) {
            activation.give(gradients, gradient.into_buffer(), |_, _| {});
        }
    });
    settled
}

impl Activation {
    /// Gives the activation a gradient that `fill(n, …)` completes and that has not yet met the curve.
    fn give(&self, gradients: &mut Gradients, mut gradient: Buffer, fill: impl Fn(usize, &mut [f32]) + Sync) {
        let map = &self.map;
        let (c, centres) = (map.dims.3, map.centres());
        let mut sums = Sums::zeros(map.dims.0 * c);
        let tables = sums.one.par_chunks_exact_mut(c).zip(sums.two.par_chunks_exact_mut(c));
        gradient.par_chunks_exact_mut(map.instance_len()).zip(tables).enumerate().for_each(|(n, (g, (one, two)))| {
            fill(n, g);
            self.unbend(n, 0, g);
            rows::product_sums(g, &map.instance(n), map.row(&centres, n), one, two);
        });
        self.give_unbent(gradients, sums, gradient);
    }

    /// Takes the gradient of positions `start ..` of instance `n` back through the curve.
    pub(super) fn unbend(&self, n: usize, start: usize, gradient: &mut [f32]) {
        let xs = self.map.positions_from(n, start, gradient.len());
        rows::unbend(gradient, &xs, self.map.row(&self.tables.scale, n), self.map.row(&self.tables.shift, n), self.curve);
    }

    /// Gives the activation a gradient that came back through the curve, with its sums.
    pub(super) fn give_unbent(&self, gradients: &mut Gradients, sums: Sums, gradient: Buffer) {
        gradients.give_summed(self.slot, Values::Own(gradient), Some(sums));
    }
}

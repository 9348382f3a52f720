//! A recorded map: values, a pending scale and shift for every (instance, channel), and statistics.

use super::buffer::{Buffer, Part, Values};
use super::{Gradients, Graph};
use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;
use sncn_kernels::rows::{self, Curve, Slopes};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Mean and biased variance (N, C) of a map over its positions.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(super) mean: Vec<f64>,
    pub(super) variance: Vec<f64>,
}

/// A pending y = scale·x + shift, each (N, C).
#[derive(Debug)]
pub(super) struct View {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// A map (N, H, W, C).
#[derive(Clone)]
pub(crate) struct Map {
    /// Where its gradient is gathered.
    pub(super) slot: usize,
    pub(super) dims: (usize, usize, usize, usize),
    pub(super) data: Arc<Values>,
    /// Of `data`, before the view.
    raw: Arc<OnceLock<Table>>,
    pub(super) view: Option<Arc<View>>,
}

/// A map that the next reader normalises and bends: curve(scale·data + shift).
#[derive(Clone)]
pub(crate) struct Activation {
    pub(super) map: Map,
    pub(super) slot: usize,
    /// With the map's view worked in.
    pub(super) tables: Arc<View>,
    pub(super) curve: Curve,
}

/// Σ G and Σ G·(x − m) of a gradient, each (N, C), x and its mean m before the view.
#[derive(Clone, Debug)]
pub(super) struct Sums {
    pub(super) one: Vec<f64>,
    pub(super) two: Vec<f64>,
}

impl Sums {
    /// Of two gradients together.
    pub(super) fn plus(mut self, other: &Self) -> Self {
        self.one.iter_mut().zip(&other.one).for_each(|(sum, one)| *sum += one);
        self.two.iter_mut().zip(&other.two).for_each(|(sum, two)| *sum += two);
        self
    }
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
    pub(super) fn new(graph: &Graph, dims: (usize, usize, usize, usize), data: Buffer) -> Self {
        Self { slot: graph.slot(), dims, data: Arc::new(Values::Own(data)), raw: Arc::default(), view: None }
    }

    /// The batch as it comes.
    pub(super) fn input(graph: &Graph, xs: &Tensor) -> Result<Self> {
        let dims = xs.dims4()?;
        if dims.0 * dims.1 * dims.2 * dims.3 == 0 {
            bail!("a batch of shape {:?} holds nothing", xs.dims())
        }
        // detached: the recording is an operation on the tensor, not a part of its own history
        let xs = xs.contiguous()?.detach();
        super::end::with_values(&xs, |_| ())?;
        Ok(Self { slot: graph.slot(), dims, data: Arc::new(Values::Tensor(xs)), raw: Arc::default(), view: None })
    }

    /// The same values with another view, as a new map.
    pub(super) fn viewed(&self, graph: &Graph, scale: Vec<f32>, shift: Vec<f32>) -> Self {
        self.under(graph.slot(), View { scale, shift })
    }

    /// The same values with this view, its gradient gathered at `slot`.
    pub(super) fn under(&self, slot: usize, view: View) -> Self {
        Self { slot, view: Some(Arc::new(view)), ..self.clone() }
    }

    /// Keeps statistics that were gathered while the values were written.
    pub(super) fn with_table(self, table: Table) -> Self {
        let raw = OnceLock::new();
        let _ = raw.set(table); // just made: it is empty
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
    pub(super) fn raw(&self) -> &Table {
        self.raw.get_or_init(|| {
            let gather = Gather::default();
            (0..self.dims.0).into_par_iter().for_each(|n| gather.add(n, 0, &self.instance(n), self.dims.3));
            gather.table(self.dims)
        })
    }

    /// The centres of sums over the map, in f32.
    pub(super) fn centres(&self) -> Vec<f32> {
        self.raw().mean.iter().map(|&mean| mean as f32).collect()
    }

    /// Statistics with the view.
    pub(super) fn stats(&self) -> Table {
        let raw = self.raw();
        let at = |i: usize| (self.scale(i), self.shift(i));
        let mean = raw.mean.iter().enumerate().map(|(i, mean)| at(i).0 * mean + at(i).1).collect();
        let variance = raw.variance.iter().enumerate().map(|(i, variance)| at(i).0 * at(i).0 * variance).collect();
        Table { mean, variance }
    }

    /// Σ G and Σ G·(x − m) of a gradient of this map.
    pub(super) fn sums(&self, gradient: &Values) -> Sums {
        let (centres, c, len) = (self.centres(), self.dims.3, self.instance_len());
        let mut sums = Sums { one: vec![0.; self.dims.0 * c], two: vec![0.; self.dims.0 * c] };
        sums.one.par_chunks_exact_mut(c).zip(sums.two.par_chunks_exact_mut(c)).enumerate().for_each(|(n, (one, two))| {
            rows::product_sums(&gradient.part(n * len..(n + 1) * len), &self.instance(n), self.row(&centres, n), one, two);
        });
        sums
    }

    /// Gives this map the gradient p·G + q + r·(x − m).
    pub(super) fn give(&self, gradients: &mut Gradients, gradient: Values, t: &Tables) {
        let (centres, len) = (self.centres(), self.instance_len());
        let slopes =
            |n: usize| Slopes { p: self.row(&t.p, n), q: self.row(&t.q, n), r: self.row(&t.r, n), m: self.row(&centres, n) };
        let each = |n: usize| n * len..(n + 1) * len;
        let sum = match (gradients.take(self.slot), gradient) {
            (Some(sum), gradient) => {
                let mut sum = sum.into_buffer();
                sum.par_chunks_exact_mut(len).enumerate().for_each(|(n, to)| {
                    rows::accumulate(to, &gradient.part(each(n)), &self.instance(n), slopes(n));
                });
                sum
            }
            (None, Values::Own(mut gradient)) => {
                let instances = gradient.par_chunks_exact_mut(len).enumerate();
                instances.for_each(|(n, g)| rows::combine(g, &self.instance(n), slopes(n)));
                gradient
            }
            (None, gradient) => {
                let mut to = Buffer::take(gradient.len());
                to.par_chunks_exact_mut(len).enumerate().for_each(|(n, to)| {
                    rows::combine_to(to, &gradient.part(each(n)), &self.instance(n), slopes(n));
                });
                to
            }
        };
        gradients.sums[self.slot] = None;
        gradients.maps[self.slot] = Some(Values::Own(sum));
    }
}

/// p, q and r of [`Map::give`], each (N, C).
pub(super) struct Tables {
    pub(super) p: Vec<f32>,
    pub(super) q: Vec<f32>,
    pub(super) r: Vec<f32>,
}

/// Statistics gathered while bands of a map are written; the order in which threads finish does not matter.
#[derive(Default)]
pub(super) struct Gather(Mutex<Vec<Band>>);

struct Band {
    n: usize,
    start: usize,
    count: usize,
    centre: Vec<f32>,
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Gather {
    /// Adds positions of instance `n`, from row `start` on.
    pub(super) fn add(&self, n: usize, start: usize, ys: &[f32], c: usize) {
        let centre = ys[..c].to_vec();
        let (mut one, mut two) = (vec![0.; c], vec![0.; c]);
        rows::centred_sums(ys, &centre, &mut one, &mut two);
        let part = Band { n, start, count: ys.len() / c, centre, one, two };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// Mean and variance, the bands put together in order (Chan et al. 1983).
    pub(super) fn table(self, (n, _, _, c): (usize, usize, usize, usize)) -> Table {
        let mut parts = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        parts.sort_unstable_by_key(|part| (part.n, part.start));
        let mut table = Table { mean: vec![0.; n * c], variance: vec![0.; n * c] };
        let mut counts = vec![0usize; n];
        for part in &parts {
            let (before, now) = (counts[part.n] as f64, part.count as f64);
            counts[part.n] += part.count;
            let total = before + now;
            for k in 0..c {
                let i = part.n * c + k;
                let off = part.one[k] / now;
                let (mean, squares) = (f64::from(part.centre[k]) + off, part.two[k] - off * part.one[k]);
                let apart = mean - table.mean[i];
                table.mean[i] += apart * now / total;
                // the sum of squares, until the end
                table.variance[i] += squares + apart * apart * before * now / total;
            }
        }
        for (i, variance) in table.variance.iter_mut().enumerate() {
            *variance = (*variance / counts[i / c].max(1) as f64).max(0.);
        }
        table
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
pub(super) fn write(graph: &Graph, map: &Map) -> Map {
    if map.view.is_none() {
        return map.clone();
    }
    let mut data = Buffer::take(map.data.len());
    let source = Source::from(map);
    data.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, out)| source.read(n, 0, out));
    let written = Map::new(graph, map.dims, data).with_table(map.stats());
    let (slot, to) = (written.slot, map.slot);
    graph.record(move |gradients| {
        if let Some(gradient) = gradients.take(slot) {
            gradients.give(to, gradient);
        }
    });
    written
}

/// An activation, written out.
pub(super) fn settle(graph: &Graph, activation: &Activation) -> Map {
    let map = &activation.map;
    let mut data = Buffer::take(map.data.len());
    let source = Source::from(activation);
    data.par_chunks_exact_mut(map.instance_len()).enumerate().for_each(|(n, out)| source.read(n, 0, out));
    let settled = Map::new(graph, map.dims, data);
    let (slot, activation) = (settled.slot, activation.clone());
    graph.record(move |gradients| {
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
        let mut sums = Sums { one: vec![0.; map.dims.0 * c], two: vec![0.; map.dims.0 * c] };
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

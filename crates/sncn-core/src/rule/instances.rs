//! `Instances`: what a rule is given of a map, and `Affine`: what it gives back.

use super::table::Table;
use super::tape::Tape;
use crate::pass::Window;
use crate::stats::Extent;
use candle_core::{DType, Result, Tensor, bail};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The sizes of a map of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Instances (N): images or sequences.
    pub instances: usize,
    /// Rows of the grid of positions; 1 for sequences.
    pub height: usize,
    /// Columns of the grid; for sequences the positions of the longest.
    pub width: usize,
    /// Channels (C).
    pub channels: usize,
    /// Positions of each sequence, where they differ.
    pub lengths: Option<Arc<[usize]>>,
}

impl Sizes {
    /// The positions of a box, the same part of every sequence; all positions where there is no box.
    pub(crate) fn extent(&self, window: Option<Window>) -> Extent {
        let whole = Window { top: 0, left: 0, bottom: self.height, right: self.width };
        match (window.filter(|window| *window != whole), &self.lengths) {
            (None, None) => Extent::All,
            (None, Some(lengths)) => Extent::Prefix(lengths.clone()),
            (Some(window), None) => Extent::Window(window, self.width),
            (Some(window), Some(lengths)) => Extent::Spans(spans(window, self.width, lengths)),
        }
    }
}

/// The same part of every sequence, of a span of the longest: at least 2 positions where it has as many.
fn spans(window: Window, longest: usize, lengths: &[usize]) -> Arc<[(usize, usize)]> {
    let part = |&length: &usize| {
        let start = (window.left * length / longest.max(1)).min(length.saturating_sub(2));
        (start, (window.right * length).div_ceil(longest.max(1)).max(start + 2).min(length))
    };
    lengths.iter().map(part).collect()
}

/// Mean and biased variance (N, C), row-major.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) mean: Vec<f64>,
    pub(crate) variance: Vec<f64>,
}

/// A map of which statistics can be taken.
pub(crate) trait Subject {
    fn sizes(&self) -> Sizes;
    fn moments(&self, extent: &Extent) -> Result<Moments>;
}

/// Statistics that a rule asked for, and their nodes.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) extent: Extent,
    pub(crate) mean: usize,
    pub(crate) variance: usize,
    /// Positions of each instance.
    pub(crate) counts: Arc<[usize]>,
}

/// What a rule is given: the sizes of a map, its statistics, and a way to bring parameters in.
pub struct Instances<'a> {
    subject: &'a dyn Subject,
    sizes: Sizes,
    /// Whether gradients are wanted.
    record: bool,
    pub(super) tape: Rc<RefCell<Tape>>,
    pub(super) regions: RefCell<Vec<Region>>,
    pub(super) parameters: RefCell<Vec<(Tensor, usize)>>,
}

impl<'a> Instances<'a> {
    pub(super) fn new(subject: &'a dyn Subject, record: bool) -> Self {
        let (tape, regions, parameters) = Default::default();
        Self { sizes: subject.sizes(), subject, record, tape, regions, parameters }
    }

    /// The sizes of the map.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Statistics of every instance over all of its positions.
    ///
    /// # Errors
    /// Where they cannot be taken.
    pub fn statistics(&self) -> Result<Statistics> {
        self.statistics_in(None)
    }

    /// Statistics of every instance over a box of its positions; in sequences over the same part of each.
    ///
    /// # Errors
    /// Where the box does not lie in the map.
    pub fn statistics_in(&self, window: Option<Window>) -> Result<Statistics> {
        let Sizes { instances, height, width, channels, .. } = self.sizes;
        let (extent, shape) = (self.sizes.extent(window), (instances, channels));
        extent.check(instances, height * width)?;
        let table = |node| Table::at(&self.tape, node, shape);
        if let Some(known) = self.regions.borrow().iter().find(|region| region.extent == extent) {
            return Ok(Statistics { mean: table(known.mean), variance: table(known.variance), counts: known.counts.clone() });
        }
        let counts: Arc<[usize]> = (0..instances).map(|n| extent.positions().count(n, height * width)).collect();
        let Moments { mean, variance } = self.subject.moments(&extent)?;
        let [mean, variance] = [mean, variance].map(|values| Table::leaf(&self.tape, shape, values, self.record));
        let region = Region { extent, mean: mean.node(), variance: variance.node(), counts: counts.clone() };
        self.regions.borrow_mut().push(region);
        Ok(Statistics { mean, variance, counts })
    }

    /// A parameter as a table, which gets its gradient: (C) becomes (1, C), any other shape (first axis, all others).
    ///
    /// # Errors
    /// Where the values cannot be read.
    pub fn parameter(&self, tensor: &Tensor) -> Result<Table> {
        let shape = match tensor.dims() {
            [] => (1, 1),
            [c] => (1, *c),
            [first, rest @ ..] => (*first, rest.iter().product()),
        };
        if let Some((_, node)) = self.parameters.borrow().iter().find(|(known, _)| known.id() == tensor.id()) {
            return Ok(Table::at(&self.tape, *node, shape));
        }
        let table = Table::leaf(&self.tape, shape, host_values(tensor)?, self.record);
        self.parameters.borrow_mut().push((tensor.clone(), table.node()));
        Ok(table)
    }

    /// A table of constants, row after row.
    ///
    /// # Errors
    /// Where the number of values is not rows × columns.
    pub fn constant(&self, rows: usize, columns: usize, values: Vec<f64>) -> Result<Table> {
        match values.len() == rows * columns {
            true => Ok(Table::leaf(&self.tape, (rows, columns), values, false)),
            false => bail!("{} values for a table of {rows} rows and {columns} columns", values.len()),
        }
    }

    /// The values of a tensor (C) that gets no gradient, such as a running statistic, as a table (1, C).
    ///
    /// # Errors
    /// Where the values cannot be read.
    pub fn buffer(&self, tensor: &Tensor) -> Result<Table> {
        let values = host_values(tensor)?;
        Ok(Table::leaf(&self.tape, (1, values.len()), values, false))
    }
}

/// A tensor's values in f64, from whatever device.
pub(crate) fn host_values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()
}

/// Statistics of every instance: tables (N, C) that carry a gradient to the map.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Means.
    pub mean: Table,
    /// Variances, divided by the number of positions.
    pub variance: Table,
    counts: Arc<[usize]>,
}

impl Statistics {
    /// Positions that each instance's statistics were taken over.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// The unbiased standard deviation √(variance·p/(p − 1) + eps), (N, C), over p positions.
    ///
    /// # Errors
    /// Where an instance has fewer than two positions: its standard deviation is not defined.
    pub fn std(&self, eps: f64) -> Result<Table> {
        let unbiased = |count: usize| count as f64 / (count as f64 - 1.);
        let Some(&first) = self.counts.first() else { bail!("no instances") };
        if let Some(count) = self.counts.iter().find(|&&count| count < 2) {
            bail!(
                "the standard deviation over {count} position(s) is not defined: maps of at least 2 positions for each instance are accepted"
            )
        }
        let scaled = if self.counts.iter().all(|&count| count == first) {
            self.variance.affine(unbiased(first), eps)
        } else {
            let factors = self.counts.iter().map(|&count| unbiased(count)).collect();
            self.variance.mul(&self.variance.constant(self.counts.len(), 1, factors))?.affine(1., eps)
        };
        Ok(scaled.sqrt())
    }

    /// The mean of a table (N, C) over the batch, every instance weighted with its positions: (1, C).
    ///
    /// # Errors
    /// Where the table has other rows.
    pub fn batch_mean(&self, table: &Table) -> Result<Table> {
        let total = self.total();
        table.weighted_rows(&self.counts.iter().map(|&count| count as f64 / total).collect::<Vec<_>>())
    }

    /// Positions of all instances together.
    pub fn total(&self) -> f64 {
        self.counts.iter().map(|&count| count as f64).sum()
    }

    /// The statistics of some neighbouring channels.
    ///
    /// # Errors
    /// Where there are no such channels.
    pub fn channels(&self, range: std::ops::Range<usize>) -> Result<Self> {
        let [mean, variance] = [self.mean.columns(range.clone())?, self.variance.columns(range)?];
        Ok(Self { mean, variance, counts: self.counts.clone() })
    }
}

/// What a rule gives: y = scale·(x − centre) + shift, with tables (N, C); an axis of 1 serves all instances or channels.
#[derive(Clone, Debug)]
pub struct Affine {
    /// What is subtracted first.
    pub centre: Table,
    /// What the difference is multiplied by.
    pub scale: Table,
    /// What is added last.
    pub shift: Table,
    /// Only this box is changed; all positions where there is none.
    pub within: Option<Window>,
}

impl Affine {
    /// y = scale·(x − centre) + shift at every position.
    pub fn new(centre: Table, scale: Table, shift: Table) -> Self {
        Self { centre, scale, shift, within: None }
    }

    /// y = scale·x.
    pub fn scaled(scale: Table) -> Self {
        let zero = scale.constant(1, 1, vec![0.]);
        Self::new(zero.clone(), scale, zero)
    }

    /// Changes only a box of the map; what lies outside stays.
    pub fn within(self, window: Option<Window>) -> Self {
        Self { within: window, ..self }
    }

    /// This for the first channels, `other` for the rest.
    ///
    /// # Errors
    /// Where rows do not fit.
    pub fn join(&self, other: &Self) -> Result<Self> {
        let joined = |one: &Table, two: &Table| Table::join(&[one.clone(), two.clone()]);
        Ok(Self {
            centre: joined(&self.centre, &other.centre)?,
            scale: joined(&self.scale, &other.scale)?,
            shift: joined(&self.shift, &other.shift)?,
            within: self.within,
        })
    }
}

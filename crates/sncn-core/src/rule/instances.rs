//! `Instances`: what a rule is given of a map, and `Affine`: what it gives back.

use super::matrix::Matrix;
use super::tape::Tape;
use crate::pass::BoundingBox;
use crate::stats::Positions;
use candle_core::{DType, Result, Tensor, bail};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The sizes of a map of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapShape {
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

impl MapShape {
    /// The positions of a box, the same part of every sequence; all positions where there is no box.
    pub(crate) fn positions(&self, bbox: Option<BoundingBox>) -> Positions {
        let whole = BoundingBox { top: 0, left: 0, bottom: self.height, right: self.width };
        match (bbox.filter(|bbox| *bbox != whole), &self.lengths) {
            (None, None) => Positions::All,
            (None, Some(lengths)) => Positions::Prefix(lengths.clone()),
            (Some(bbox), None) => Positions::Box(bbox, self.width),
            (Some(bbox), Some(lengths)) => Positions::Spans(spans(bbox, self.width, lengths)),
        }
    }
}

/// The same part of every sequence, of a span of the longest: at least 2 positions where it has as many.
fn spans(bbox: BoundingBox, longest: usize, lengths: &[usize]) -> Arc<[(usize, usize)]> {
    let part = |&length: &usize| {
        let start = (bbox.left * length / longest.max(1)).min(length.saturating_sub(2));
        (start, (bbox.right * length).div_ceil(longest.max(1)).max(start + 2).min(length))
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
    fn shape(&self) -> MapShape;
    fn moments(&self, positions: &Positions) -> Result<Moments>;
}

/// Statistics that a rule asked for, and their nodes.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) positions: Positions,
    pub(crate) mean: usize,
    pub(crate) variance: usize,
    /// Positions of each instance.
    pub(crate) counts: Arc<[usize]>,
}

/// What a rule is given: the sizes of a map, its statistics, and a way to bring parameters in.
pub struct Instances<'a> {
    subject: &'a dyn Subject,
    sizes: MapShape,
    /// Whether gradients are wanted.
    record: bool,
    pub(super) tape: Rc<RefCell<Tape>>,
    pub(super) regions: RefCell<Vec<Region>>,
    pub(super) parameters: RefCell<Vec<(Tensor, usize)>>,
}

impl<'a> Instances<'a> {
    pub(super) fn new(subject: &'a dyn Subject, record: bool) -> Self {
        let (tape, regions, parameters) = Default::default();
        Self { sizes: subject.shape(), subject, record, tape, regions, parameters }
    }

    /// The sizes of the map.
    pub fn shape(&self) -> &MapShape {
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
    pub fn statistics_in(&self, bbox: Option<BoundingBox>) -> Result<Statistics> {
        let MapShape { instances, height, width, channels, .. } = self.sizes;
        let (positions, shape) = (self.sizes.positions(bbox), (instances, channels));
        positions.check(instances, height * width)?;
        let matrix = |node| Matrix::at(&self.tape, node, shape);
        if let Some(known) = self.regions.borrow().iter().find(|region| region.positions == positions) {
            return Ok(Statistics { mean: matrix(known.mean), variance: matrix(known.variance), counts: known.counts.clone() });
        }
        let counts: Arc<[usize]> = (0..instances).map(|n| positions.as_kernel().count(n, height * width)).collect();
        let Moments { mean, variance } = self.subject.moments(&positions)?;
        let [mean, variance] = [mean, variance].map(|values| Matrix::leaf(&self.tape, shape, values, self.record));
        let region = Region { positions, mean: mean.node(), variance: variance.node(), counts: counts.clone() };
        self.regions.borrow_mut().push(region);
        Ok(Statistics { mean, variance, counts })
    }

    /// A parameter as a matrix, which gets its gradient: (C) becomes (1, C), any other shape (first axis, all others).
    ///
    /// # Errors
    /// Where the values cannot be read.
    pub fn parameter(&self, tensor: &Tensor) -> Result<Matrix> {
        let shape = match tensor.dims() {
            [] => (1, 1),
            [c] => (1, *c),
            [first, rest @ ..] => (*first, rest.iter().product()),
        };
        if let Some((_, node)) = self.parameters.borrow().iter().find(|(known, _)| known.id() == tensor.id()) {
            return Ok(Matrix::at(&self.tape, *node, shape));
        }
        let matrix = Matrix::leaf(&self.tape, shape, host_values(tensor)?, self.record);
        self.parameters.borrow_mut().push((tensor.clone(), matrix.node()));
        Ok(matrix)
    }

    /// A matrix of constants, row after row.
    ///
    /// # Errors
    /// Where the number of values is not rows × columns.
    pub fn constant(&self, rows: usize, columns: usize, values: Vec<f64>) -> Result<Matrix> {
        match values.len() == rows * columns {
            true => Ok(Matrix::leaf(&self.tape, (rows, columns), values, false)),
            false => bail!("{} values for a matrix of {rows} rows and {columns} columns", values.len()),
        }
    }

    /// The values of a tensor (C) that gets no gradient, such as a running statistic, as a matrix (1, C).
    ///
    /// # Errors
    /// Where the values cannot be read.
    pub fn buffer(&self, tensor: &Tensor) -> Result<Matrix> {
        let values = host_values(tensor)?;
        Ok(Matrix::leaf(&self.tape, (1, values.len()), values, false))
    }
}

/// A tensor's values in f64, from whatever device.
pub(crate) fn host_values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()
}

/// Statistics of every instance: matrices (N, C) that carry a gradient to the map.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Means.
    pub mean: Matrix,
    /// Variances, divided by the number of positions.
    pub variance: Matrix,
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
    pub fn std(&self, eps: f64) -> Result<Matrix> {
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

    /// The mean of a matrix (N, C) over the batch, every instance weighted with its positions: (1, C).
    ///
    /// # Errors
    /// Where the matrix has other rows.
    pub fn batch_mean(&self, matrix: &Matrix) -> Result<Matrix> {
        let total = self.total();
        matrix.weighted_rows(&self.counts.iter().map(|&count| count as f64 / total).collect::<Vec<_>>())
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

/// What a rule gives: y = scale·(x − centre) + bias, with matrices (N, C); an axis of 1 serves all instances or channels.
#[derive(Clone, Debug)]
pub struct Affine {
    /// What is subtracted first.
    pub centre: Matrix,
    /// What the difference is multiplied by.
    pub scale: Matrix,
    /// What is added last.
    pub bias: Matrix,
    /// Only this box is changed; all positions where there is none.
    pub within: Option<BoundingBox>,
}

impl Affine {
    /// y = scale·(x − centre) + bias at every position.
    pub fn new(centre: Matrix, scale: Matrix, bias: Matrix) -> Self {
        Self { centre, scale, bias, within: None }
    }

    /// y = scale·x.
    pub fn scaled(scale: Matrix) -> Self {
        let zero = scale.constant(1, 1, vec![0.]);
        Self::new(zero.clone(), scale, zero)
    }

    /// Changes only a box of the map; what lies outside stays.
    pub fn within(self, bbox: Option<BoundingBox>) -> Self {
        Self { within: bbox, ..self }
    }

    /// This for the first channels, `other` for the rest.
    ///
    /// # Errors
    /// Where rows do not fit.
    pub fn join(&self, other: &Self) -> Result<Self> {
        let joined = |one: &Matrix, two: &Matrix| Matrix::join(&[one.clone(), two.clone()]);
        Ok(Self {
            centre: joined(&self.centre, &other.centre)?,
            scale: joined(&self.scale, &other.scale)?,
            bias: joined(&self.bias, &other.bias)?,
            within: self.within,
        })
    }
}

//! `Instances`: the argument of a rule, and `Affine`: its result.

use super::matrix::Matrix;
use super::tape::Tape;
use crate::pass::BoundingBox;
use crate::stats::Positions;
use candle_core::{DType, Result, Tensor, bail};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The shape of a map, as a rule sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapShape {
    /// Number of instances (N): images or sequences.
    pub instances: usize,
    /// Height of an image's map; 1 for sequences.
    pub height: usize,
    /// Width of an image's map; for sequences the length that padding would give them.
    pub width: usize,
    /// Number of channels (C).
    pub channels: usize,
    /// The length of every sequence; `None` for images and unpadded sequences.
    pub lengths: Option<Arc<[usize]>>,
}

impl MapShape {
    /// The positions of a box, or of the same fraction of every sequence; all positions for `None`.
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

/// A span of a sequence of length `longest`, as the same fraction of every sequence: at least 2 positions where the sequence has
/// 2.
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

/// A map that a rule can be run on.
pub(crate) trait RuleInput {
    fn shape(&self) -> MapShape;
    fn moments(&self, positions: &Positions) -> Result<Moments>;
}

/// The positions of statistics that a rule asked for, and the nodes of these statistics.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) positions: Positions,
    pub(crate) mean: usize,
    pub(crate) variance: usize,
    /// Number of positions of each instance.
    pub(crate) counts: Arc<[usize]>,
}

/// The argument of a rule: a map's shape and statistics, and the means to make matrices of parameters and constants.
pub struct Instances<'a> {
    input: &'a dyn RuleInput,
    shape: MapShape,
    /// Whether gradients will be computed.
    record: bool,
    pub(super) tape: Rc<RefCell<Tape>>,
    pub(super) regions: RefCell<Vec<Region>>,
    pub(super) parameters: RefCell<Vec<(Tensor, usize)>>,
}

impl<'a> Instances<'a> {
    pub(super) fn new(input: &'a dyn RuleInput, record: bool) -> Self {
        let (tape, regions, parameters) = Default::default();
        Self { shape: input.shape(), input, record, tape, regions, parameters }
    }

    /// Returns the shape of the map.
    pub fn shape(&self) -> &MapShape {
        &self.shape
    }

    /// Returns the statistics of every instance over all of its positions.
    ///
    /// # Errors
    /// Returns candle's error where the values of a tensor cannot be read.
    pub fn statistics(&self) -> Result<Statistics> {
        self.statistics_in(None)
    }

    /// Returns the statistics of every instance over a box; in sequences, whose box has a single row, over the same fraction of
    /// each. `None` is all positions.
    ///
    /// # Errors
    /// Returns an error where the box is not inside the map.
    pub fn statistics_in(&self, bbox: Option<BoundingBox>) -> Result<Statistics> {
        let MapShape { instances, height, width, channels, .. } = self.shape;
        let (positions, shape) = (self.shape.positions(bbox), (instances, channels));
        positions.check(instances, height * width)?;
        let matrix = |node| Matrix::at(&self.tape, node, shape);
        if let Some(known) = self.regions.borrow().iter().find(|region| region.positions == positions) {
            return Ok(Statistics { mean: matrix(known.mean), variance: matrix(known.variance), counts: known.counts.clone() });
        }
        let counts: Arc<[usize]> = (0..instances).map(|n| positions.as_kernel().count(n, height * width)).collect();
        let Moments { mean, variance } = self.input.moments(&positions)?;
        let [mean, variance] = [mean, variance].map(|values| Matrix::leaf(&self.tape, shape, values, self.record));
        let region = Region { positions, mean: mean.node(), variance: variance.node(), counts: counts.clone() };
        self.regions.borrow_mut().push(region);
        Ok(Statistics { mean, variance, counts })
    }

    /// Returns a parameter as a matrix, through which it gets its gradient: (C) becomes (1, C), any other shape (first axis, product
    /// of the others).
    ///
    /// # Errors
    /// Returns candle's error where the values cannot be copied to the host.
    pub fn parameter(&self, tensor: &Tensor) -> Result<Matrix> {
        let shape = matrix_shape(tensor);
        if let Some((_, node)) = self.parameters.borrow().iter().find(|(known, _)| known.id() == tensor.id()) {
            return Ok(Matrix::at(&self.tape, *node, shape));
        }
        let matrix = Matrix::leaf(&self.tape, shape, host_values(tensor)?, self.record);
        self.parameters.borrow_mut().push((tensor.clone(), matrix.node()));
        Ok(matrix)
    }

    /// Returns a matrix of constants, given in row-major order.
    ///
    /// # Errors
    /// Returns an error where the number of values is not rows × columns.
    pub fn constant(&self, rows: usize, columns: usize, values: Vec<f64>) -> Result<Matrix> {
        match values.len() == rows * columns {
            true => Ok(Matrix::leaf(&self.tape, (rows, columns), values, false)),
            false => bail!("{} values for a matrix of {rows} rows and {columns} columns", values.len()),
        }
    }

    /// Returns a buffer, such as a running mean, as a matrix of the shape that a parameter would have; it gets no gradient.
    ///
    /// # Errors
    /// Returns candle's error where the values cannot be copied to the host.
    pub fn buffer(&self, tensor: &Tensor) -> Result<Matrix> {
        Ok(Matrix::leaf(&self.tape, matrix_shape(tensor), host_values(tensor)?, false))
    }
}

/// (C) becomes (1, C), any other shape (first axis, product of the others).
fn matrix_shape(tensor: &Tensor) -> (usize, usize) {
    match tensor.dims() {
        [] => (1, 1),
        [c] => (1, *c),
        [first, rest @ ..] => (*first, rest.iter().product()),
    }
}

/// A tensor's values in f64, copied from any device.
pub(crate) fn host_values(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.flatten_all()?.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()
}

/// Statistics of every instance: matrices (N, C), through which gradients flow to the map.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// The means.
    pub mean: Matrix,
    /// The biased variances (divided by the number of positions).
    pub variance: Matrix,
    counts: Arc<[usize]>,
}

impl Statistics {
    /// Returns the number of positions of each instance.
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Returns the unbiased standard deviation √(variance·p/(p − 1) + eps), (N, C), of instances with p positions.
    ///
    /// # Errors
    /// Returns an error where an instance has fewer than 2 positions.
    pub fn std(&self, eps: f64) -> Result<Matrix> {
        Ok(self.unbiased(eps)?.sqrt())
    }

    /// Returns the unbiased variance plus eps, variance·p/(p − 1) + eps, (N, C), of instances with p positions.
    ///
    /// # Errors
    /// Returns an error where an instance has fewer than 2 positions.
    pub fn unbiased(&self, eps: f64) -> Result<Matrix> {
        if self.counts.is_empty() {
            bail!("no instances")
        }
        if let Some(count) = self.counts.iter().find(|&&count| count < 2) {
            bail!("the standard deviation over {count} position(s) is not defined: each instance needs at least 2 positions")
        }
        Ok(self.variance.unbiased(self.counts.clone(), eps))
    }

    /// Returns the mean (1, C) of a matrix (N, C) over the batch, each instance weighted by its number of positions.
    ///
    /// # Errors
    /// Returns an error where the matrix does not have N rows.
    pub fn batch_mean(&self, matrix: &Matrix) -> Result<Matrix> {
        let total = self.total();
        matrix.weighted_rows(&self.counts.iter().map(|&count| count as f64 / total).collect::<Vec<_>>())
    }

    /// Returns the number of positions of all instances together.
    pub fn total(&self) -> f64 {
        self.counts.iter().map(|&count| count as f64).sum()
    }

    /// Returns the statistics of a range of channels.
    ///
    /// # Errors
    /// Returns an error where the range is not inside the channels.
    pub fn channels(&self, range: std::ops::Range<usize>) -> Result<Self> {
        let [mean, variance] = [self.mean.columns(range.clone())?, self.variance.columns(range)?];
        Ok(Self { mean, variance, counts: self.counts.clone() })
    }
}

/// The result of a rule: y = scale·(x − centre) + bias, with matrices (N, C). An axis of length 1 is broadcast.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Subtracted from x.
    pub centre: Matrix,
    /// The factor.
    pub scale: Matrix,
    /// Added last.
    pub bias: Matrix,
    /// The box that is changed; `None`: all positions.
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

    /// Changes only a box of the map; positions outside keep their values.
    pub fn within(self, bbox: Option<BoundingBox>) -> Self {
        Self { within: bbox, ..self }
    }

    /// The same for the instances n with `instances[n]`; the others stay exactly as they are.
    ///
    /// # Errors
    /// Returns an error where `instances` does not have as many values as the map has instances.
    pub fn only(self, map: &Instances<'_>, instances: &[bool]) -> Result<Self> {
        let chosen: Vec<f64> = instances.iter().map(|&chosen| f64::from(u8::from(chosen))).collect();
        let chosen = map.constant(map.shape().instances, 1, chosen)?;
        let others = chosen.affine(-1., 1.);
        let Self { centre, scale, bias, within } = self;
        let scale = scale.mul(&chosen)?.add(&others)?;
        Ok(Self { centre: centre.mul(&chosen)?, scale, bias: bias.mul(&chosen)?, within })
    }

    /// Concatenates two affine maps along the channels: `self` applies to the first, `other` to the rest. `within` is that of
    /// `self`.
    ///
    /// # Errors
    /// Returns an error where the numbers of rows differ and neither is 1.
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

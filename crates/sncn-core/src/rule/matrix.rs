//! `Matrix`: a small differentiable f64 matrix, with which rules compute.

use super::function::Function;
use super::tape::{Op, Pair, Tape};
use candle_core::{Result, bail};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A matrix of f64 values, usually (N, C), with which a rule computes. The backward pass differentiates its operations.
///
/// Operations of two matrices broadcast axes of length 1, so that a parameter (1, C) applies to every instance. A matrix is valid
/// within the call of the rule in which it was made.
#[derive(Clone, Debug)]
pub struct Matrix {
    tape: Rc<RefCell<Tape>>,
    node: usize,
    rows: usize,
    columns: usize,
}

impl Matrix {
    pub(super) fn leaf(tape: &Rc<RefCell<Tape>>, (rows, columns): (usize, usize), values: Vec<f64>, wanted: bool) -> Self {
        let node = tape.borrow_mut().leaf(rows, columns, values, wanted);
        Self { tape: tape.clone(), node, rows, columns }
    }

    /// The matrix of an existing node.
    pub(super) fn at(tape: &Rc<RefCell<Tape>>, node: usize, (rows, columns): (usize, usize)) -> Self {
        Self { tape: tape.clone(), node, rows, columns }
    }

    /// A constant on the same tape; there must be rows × columns values.
    pub(super) fn constant(&self, rows: usize, columns: usize, values: Vec<f64>) -> Self {
        Self::leaf(&self.tape, (rows, columns), values, false)
    }

    pub(super) fn node(&self) -> usize {
        self.node
    }

    pub(super) fn is_on(&self, tape: &Rc<RefCell<Tape>>) -> bool {
        Rc::ptr_eq(&self.tape, tape)
    }

    fn compute(&self, rows: usize, columns: usize, op: Op) -> Self {
        let node = self.tape.borrow_mut().compute(rows, columns, op);
        Self { tape: self.tape.clone(), node, rows, columns }
    }

    fn each(&self, function: Function) -> Self {
        self.compute(self.rows, self.columns, Op::Each(function, self.node))
    }

    fn two(&self, pair: Pair, other: &Self) -> Result<Self> {
        self.check_tape(other)?;
        let side = |one: usize, two: usize| if one == 1 { Some(two) } else { (two == 1 || two == one).then_some(one) };
        match (side(self.rows, other.rows), side(self.columns, other.columns)) {
            (Some(rows), Some(columns)) => Ok(self.compute(rows, columns, Op::Two(pair, self.node, other.node))),
            _ => {
                bail!("matrices of shape {:?} and {:?} do not broadcast: each axis must be equal or 1", self.dims(), other.dims())
            }
        }
    }

    fn check_tape(&self, other: &Self) -> Result<()> {
        match other.is_on(&self.tape) {
            true => Ok(()),
            false => bail!("a matrix of another call of a rule: compute every matrix from the arguments of this call"),
        }
    }

    /// Returns (rows, columns).
    pub fn dims(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// Returns a copy of the values in row-major order.
    pub fn values(&self) -> Vec<f64> {
        self.tape.borrow().nodes[self.node].values.clone()
    }

    /// Returns the same values, through which no gradient flows.
    pub fn detach(&self) -> Self {
        Self::leaf(&self.tape, self.dims(), self.values(), false)
    }

    /// Adds, with broadcasting.
    ///
    /// # Errors
    /// Returns an error where the lengths of an axis differ and neither is 1.
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Add, other)
    }

    /// Subtracts, with broadcasting.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Sub, other)
    }

    /// Multiplies elementwise, with broadcasting.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Mul, other)
    }

    /// Divides elementwise, with broadcasting.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn div(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Div, other)
    }

    /// Computes mul·x + add elementwise, as candle's `Tensor::affine`.
    pub fn affine(&self, mul: f64, add: f64) -> Self {
        self.each(Function::Affine(mul, add))
    }

    /// Computes x·p/(p − 1) + eps elementwise, with the number p of positions of each row.
    pub(super) fn unbiased(&self, positions: Arc<[usize]>, eps: f64) -> Self {
        self.compute(self.rows, self.columns, Op::Unbiased(self.node, positions, eps))
    }

    /// Computes x² elementwise.
    pub fn sqr(&self) -> Self {
        self.each(Function::Square)
    }

    /// Computes √x elementwise.
    pub fn sqrt(&self) -> Self {
        self.each(Function::Sqrt)
    }

    /// Computes 1/x elementwise.
    pub fn recip(&self) -> Self {
        self.each(Function::Recip)
    }

    /// Computes eˣ elementwise.
    pub fn exp(&self) -> Self {
        self.each(Function::Exp)
    }

    /// Computes the natural logarithm elementwise.
    pub fn log(&self) -> Self {
        self.each(Function::Log)
    }

    /// Computes 1/(1 + e⁻ˣ) elementwise.
    pub fn sigmoid(&self) -> Self {
        self.each(Function::Sigmoid)
    }

    /// Computes the hyperbolic tangent elementwise.
    pub fn tanh(&self) -> Self {
        self.each(Function::Tanh)
    }

    /// Computes max(0, x) elementwise, with derivative 0 at 0.
    pub fn relu(&self) -> Self {
        self.each(Function::Relu)
    }

    /// Clamps the values to min..=max; the derivative is 0 outside.
    ///
    /// # Errors
    /// Returns an error where `min` is larger than `max`.
    pub fn clamp(&self, min: f64, max: f64) -> Result<Self> {
        match min <= max {
            true => Ok(self.each(Function::Clamp(min, max))),
            false => bail!("clamp: min {min} is larger than max {max}"),
        }
    }

    /// Returns the mean over the rows (the batch): (1, columns).
    pub fn mean_rows(&self) -> Self {
        let weights = vec![1. / self.rows as f64; self.rows];
        self.compute(1, self.columns, Op::Rows(self.node, weights.into()))
    }

    /// Returns the weighted sum of the rows, row r multiplied by `weights[r]`: (1, columns).
    ///
    /// # Errors
    /// Returns an error where the number of weights is not that of rows.
    pub fn weighted_rows(&self, weights: &[f64]) -> Result<Self> {
        match weights.len() == self.rows {
            true => Ok(self.compute(1, self.columns, Op::Rows(self.node, weights.into()))),
            false => bail!("{} weights for a matrix of {} rows", weights.len(), self.rows),
        }
    }

    /// Returns the mean over the columns (the channels): (rows, 1).
    pub fn mean_columns(&self) -> Self {
        self.compute(self.rows, 1, Op::Columns(self.node))
    }

    /// Returns the mean over each of `groups` groups of consecutive columns, repeated for every column of the group: the shape
    /// stays.
    ///
    /// # Errors
    /// Returns an error where the number of columns is not a multiple of `groups`.
    pub fn mean_groups(&self, groups: usize) -> Result<Self> {
        match groups > 0 && self.columns.is_multiple_of(groups) {
            true => Ok(self.compute(self.rows, self.columns, Op::Groups(self.node, groups))),
            false => bail!("{} columns do not divide into {groups} groups", self.columns),
        }
    }

    fn selected(&self, rows: Option<&[usize]>, columns: Option<&[usize]>) -> Result<Self> {
        for (order, count, what) in [(rows, self.rows, "rows"), (columns, self.columns, "columns")] {
            if order.is_some_and(|order| order.iter().any(|&i| i >= count)) {
                bail!("{what} {:?} are out of range for a matrix of shape {:?}", order.unwrap_or_default(), self.dims())
            }
        }
        let (own, picked) = (rows.map_or(self.rows, <[usize]>::len), columns.map_or(self.columns, <[usize]>::len));
        let op = Op::Select { of: self.node, rows: rows.map(Into::into), columns: columns.map(Into::into) };
        Ok(self.compute(own, picked, op))
    }

    /// Selects rows: row r of the result is row `rows[r]` of this matrix.
    ///
    /// # Errors
    /// Returns an error where an index is out of range.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self> {
        self.selected(Some(rows), None)
    }

    /// Selects columns: column c of the result is column `columns[c]` of this matrix.
    ///
    /// # Errors
    /// Returns an error where an index is out of range.
    pub fn select_columns(&self, columns: &[usize]) -> Result<Self> {
        self.selected(None, Some(columns))
    }

    /// Returns a range of columns.
    ///
    /// # Errors
    /// Returns an error where the range is not inside the columns.
    pub fn columns(&self, range: Range<usize>) -> Result<Self> {
        self.select_columns(&range.collect::<Vec<_>>())
    }

    /// Concatenates matrices along the columns; a matrix of one row is broadcast.
    ///
    /// # Errors
    /// Returns an error where there is no matrix, or the numbers of rows differ and are not 1.
    pub fn join(parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else { bail!("no matrices to concatenate") };
        let rows = parts.iter().map(|part| part.rows).max().unwrap_or(1);
        for part in parts {
            first.check_tape(part)?;
            if part.rows != rows && part.rows != 1 {
                bail!("matrices of {} and {rows} rows cannot be concatenated", part.rows)
            }
        }
        let columns = parts.iter().map(|part| part.columns).sum();
        Ok(first.compute(rows, columns, Op::Join(parts.iter().map(|part| part.node).collect())))
    }

    /// Computes softmax over the columns of each row.
    pub fn softmax(&self) -> Self {
        self.compute(self.rows, self.columns, Op::Softmax(self.node))
    }

    /// Multiplies by a transposed weight, as a linear layer: (R, K) by (O, K) gives (R, O).
    ///
    /// # Errors
    /// Returns an error where the numbers of columns differ.
    pub fn linear(&self, weight: &Self) -> Result<Self> {
        self.check_tape(weight)?;
        match self.columns == weight.columns {
            true => Ok(self.compute(self.rows, weight.rows, Op::Product(self.node, weight.node))),
            false => {
                bail!("linear: a matrix of shape {:?} and a weight of shape {:?} differ in columns", self.dims(), weight.dims())
            }
        }
    }

    /// Transposes to (columns, rows).
    pub fn transpose(&self) -> Self {
        self.compute(self.columns, self.rows, Op::Transpose(self.node))
    }
}

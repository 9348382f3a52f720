//! `Matrix`: a small matrix (rows, columns) in f64 whose operations are differentiated, of which rules are made.

use super::tape::{Function, Op, Pair, Tape};
use candle_core::{Result, bail};
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

/// A matrix (rows, columns) of f64 values, usually (N, C) of instances and channels. A rule computes with matrices; their
/// gradients are taken when the backward pass runs.
///
/// In an operation of two matrices an axis of length 1 is repeated, so that a parameter (1, C) serves every instance. Matrices
/// live as long as the call of the rule that they were made in.
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

    /// The matrix of a node of that shape.
    pub(super) fn at(tape: &Rc<RefCell<Tape>>, node: usize, (rows, columns): (usize, usize)) -> Self {
        Self { tape: tape.clone(), node, rows, columns }
    }

    /// Constants beside this matrix; the caller gives rows × columns values.
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
            _ => bail!(
                "matrices of shape {:?} and {:?} do not fit together: equal lengths, or 1, are accepted",
                self.dims(),
                other.dims()
            ),
        }
    }

    fn check_tape(&self, other: &Self) -> Result<()> {
        match other.is_on(&self.tape) {
            true => Ok(()),
            false => bail!("matrices of two calls of a rule do not fit together: make every matrix from what this call is given"),
        }
    }

    /// (rows, columns).
    pub fn dims(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The values, row after row.
    pub fn values(&self) -> Vec<f64> {
        self.tape.borrow().nodes[self.node].values.clone()
    }

    /// The same values, through which no gradient flows.
    pub fn detach(&self) -> Self {
        Self::leaf(&self.tape, self.dims(), self.values(), false)
    }

    /// The sum.
    ///
    /// # Errors
    /// Where neither axis is equal or 1, as in [`Matrix::sub`], [`Matrix::mul`] and [`Matrix::div`].
    pub fn add(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Add, other)
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn sub(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Sub, other)
    }

    /// The product of values.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn mul(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Mul, other)
    }

    /// The quotient of values.
    ///
    /// # Errors
    /// As [`Matrix::add`].
    pub fn div(&self, other: &Self) -> Result<Self> {
        self.two(Pair::Div, other)
    }

    /// multiplier·x + addend.
    pub fn affine(&self, multiplier: f64, addend: f64) -> Self {
        self.each(Function::Affine(multiplier, addend))
    }

    /// x².
    pub fn sqr(&self) -> Self {
        self.each(Function::Square)
    }

    /// √x.
    pub fn sqrt(&self) -> Self {
        self.each(Function::Sqrt)
    }

    /// 1/x.
    pub fn recip(&self) -> Self {
        self.each(Function::Recip)
    }

    /// eˣ.
    pub fn exp(&self) -> Self {
        self.each(Function::Exp)
    }

    /// The natural logarithm.
    pub fn log(&self) -> Self {
        self.each(Function::Log)
    }

    /// 1/(1 + e⁻ˣ).
    pub fn sigmoid(&self) -> Self {
        self.each(Function::Sigmoid)
    }

    /// The hyperbolic tangent.
    pub fn tanh(&self) -> Self {
        self.each(Function::Tanh)
    }

    /// max(0, x), with derivative 0 at 0.
    pub fn relu(&self) -> Self {
        self.each(Function::Relu)
    }

    /// x kept between two bounds; the derivative is 0 outside them.
    ///
    /// # Errors
    /// Where the bounds are not in order.
    pub fn clamp(&self, low: f64, high: f64) -> Result<Self> {
        match low <= high {
            true => Ok(self.each(Function::Clamp(low, high))),
            false => bail!("a matrix cannot be kept between {low} and {high}: give the smaller bound first"),
        }
    }

    /// The mean over the rows (the batch): (1, columns).
    pub fn mean_rows(&self) -> Self {
        let weights = vec![1. / self.rows as f64; self.rows];
        self.compute(1, self.columns, Op::Rows(self.node, weights.into()))
    }

    /// Σ weight·row over the rows: (1, columns).
    ///
    /// # Errors
    /// Where there is not one weight for every row.
    pub fn weighted_rows(&self, weights: &[f64]) -> Result<Self> {
        match weights.len() == self.rows {
            true => Ok(self.compute(1, self.columns, Op::Rows(self.node, weights.into()))),
            false => bail!("{} weights for a matrix of {} rows", weights.len(), self.rows),
        }
    }

    /// The mean over the columns (the channels): (rows, 1).
    pub fn mean_columns(&self) -> Self {
        self.compute(self.rows, 1, Op::Columns(self.node))
    }

    /// The mean over each of `groups` groups of neighbouring columns, repeated for every column of the group.
    ///
    /// # Errors
    /// Where the columns do not divide into so many groups.
    pub fn mean_groups(&self, groups: usize) -> Result<Self> {
        match groups > 0 && self.columns.is_multiple_of(groups) {
            true => Ok(self.compute(self.rows, self.columns, Op::Groups(self.node, groups))),
            false => bail!("{} columns do not divide into {groups} groups", self.columns),
        }
    }

    fn selected(&self, rows: Option<&[usize]>, columns: Option<&[usize]>) -> Result<Self> {
        for (order, count, what) in [(rows, self.rows, "rows"), (columns, self.columns, "columns")] {
            if order.is_some_and(|order| order.iter().any(|&i| i >= count)) {
                bail!("{what} {order:?} are not all of a matrix of shape {:?}", self.dims())
            }
        }
        let (own, picked) = (rows.map_or(self.rows, <[usize]>::len), columns.map_or(self.columns, <[usize]>::len));
        let op = Op::Select { of: self.node, rows: rows.map(Into::into), columns: columns.map(Into::into) };
        Ok(self.compute(own, picked, op))
    }

    /// Row r of the result is row `rows[r]` of this matrix.
    ///
    /// # Errors
    /// Where there is no such row.
    pub fn select_rows(&self, rows: &[usize]) -> Result<Self> {
        self.selected(Some(rows), None)
    }

    /// Column c of the result is column `columns[c]` of this matrix.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn select_columns(&self, columns: &[usize]) -> Result<Self> {
        self.selected(None, Some(columns))
    }

    /// Some neighbouring columns.
    ///
    /// # Errors
    /// Where there are no such columns.
    pub fn columns(&self, range: Range<usize>) -> Result<Self> {
        self.select_columns(&range.collect::<Vec<_>>())
    }

    /// The columns of matrices side by side; one of a single row is repeated where others have more.
    ///
    /// # Errors
    /// Where there is no matrix, or rows do not fit.
    pub fn join(parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else { bail!("no matrices to join") };
        let rows = parts.iter().map(|part| part.rows).max().unwrap_or(1);
        for part in parts {
            first.check_tape(part)?;
            if part.rows != rows && part.rows != 1 {
                bail!("matrices of {} and {rows} rows do not stand side by side", part.rows)
            }
        }
        let columns = parts.iter().map(|part| part.columns).sum();
        Ok(first.compute(rows, columns, Op::Join(parts.iter().map(|part| part.node).collect())))
    }

    /// Softmax over the columns of each row.
    pub fn softmax(&self) -> Self {
        self.compute(self.rows, self.columns, Op::Softmax(self.node))
    }

    /// This matrix (R, K) by a weight (O, K), transposed: (R, O), as a linear layer.
    ///
    /// # Errors
    /// Where the columns differ.
    pub fn linear(&self, weight: &Self) -> Result<Self> {
        self.check_tape(weight)?;
        match self.columns == weight.columns {
            true => Ok(self.compute(self.rows, weight.rows, Op::Product(self.node, weight.node))),
            false => bail!("a matrix of shape {:?} by a weight of shape {:?}: the columns differ", self.dims(), weight.dims()),
        }
    }

    /// (columns, rows).
    pub fn transpose(&self) -> Self {
        self.compute(self.columns, self.rows, Op::Transpose(self.node))
    }
}

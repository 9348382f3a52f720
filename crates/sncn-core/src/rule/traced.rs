//! `Traced`: what a rule computes, as steps over matrices, for [`crate::trace`].

use super::function::Function;
use super::run::Evaluated;
use super::tape::{Op, Pair};
use crate::stats::Positions;
use candle_core::{Result, bail};
use std::sync::Arc;

/// An operation on matrices, mostly (N, C). Operations of two matrices broadcast axes of length 1.
#[derive(Clone, Debug)]
pub enum MatrixOperation {
    /// A constant of so many rows and columns, in row-major order. One row is every instance's.
    Constant(usize, usize, Vec<f64>),
    /// The mean of every instance's channels over all positions.
    Mean,
    /// Their biased variance.
    Variance,
    /// A function of every value.
    Each(Function, usize),
    /// x·p/(p − 1) + the number, which makes an unbiased variance of one over the p positions of an instance.
    Unbiased(usize, f64),
    /// An operation of two matrices.
    Two(Pair, usize, usize),
    /// The mean over the columns, (rows, 1).
    MeanColumns(usize),
    /// The mean over each of so many groups of consecutive columns, in every column of the group.
    MeanGroups(usize, usize),
    /// Column c is column `columns[c]`.
    Columns(usize, Arc<[usize]>),
    /// Concatenation of columns.
    Join(Vec<usize>),
    /// Softmax over the columns of each row.
    Softmax(usize),
    /// (R, K) times the transpose of (O, K).
    Product(usize, usize),
}

/// The steps of a rule, with those that are the matrices of y = scale·(x − centre) + bias.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Operations over earlier ones, each with its number of columns.
    pub steps: Vec<(MatrixOperation, usize)>,
    /// The centre.
    pub centre: usize,
    /// The scale.
    pub scale: usize,
    /// The bias.
    pub bias: usize,
}

impl Evaluated {
    /// The steps of the rule for any number of instances, on maps whose positions are `whole`.
    ///
    /// # Errors
    /// Returns an error where the rule mixes instances or works on a part of a map.
    pub(crate) fn traced(&self, whole: &Positions) -> Result<Traced> {
        if self.within != *whole || self.regions.iter().any(|region| region.positions != *whole) {
            bail!("it works on a part of a map, which has no trace")
        }
        let nodes = &self.tape.nodes;
        let mut varies = vec![false; nodes.len()];
        self.regions.iter().for_each(|region| [region.mean, region.variance].iter().for_each(|&node| varies[node] = true));
        for (index, node) in nodes.iter().enumerate() {
            varies[index] |= node.inputs().iter().any(|&input| varies[input]);
        }
        let mut traced = Steps { rule: self, varies, places: vec![None; nodes.len()], steps: Vec::new() };
        let [centre, scale, bias] = self.matrices;
        let (centre, scale, bias) = (traced.of(centre)?, traced.of(scale)?, traced.of(bias)?);
        Ok(Traced { steps: traced.steps, centre, scale, bias })
    }
}

struct Steps<'a> {
    rule: &'a Evaluated,
    /// For every node whether it depends on the map.
    varies: Vec<bool>,
    /// The steps of nodes.
    places: Vec<Option<usize>>,
    steps: Vec<(MatrixOperation, usize)>,
}

impl Steps<'_> {
    /// The step of a node whose rows are instances.
    fn of(&mut self, node: usize) -> Result<usize> {
        if let Some(place) = self.places[node] {
            return Ok(place);
        }
        let tape = &self.rule.tape.nodes[node];
        let columns = tape.columns;
        if !self.varies[node] {
            let first = &tape.values[..columns];
            if !tape.values.chunks_exact(columns.max(1)).all(|row| row == first) {
                bail!("it treats instances differently by their place in the batch, which has no trace")
            }
            return Ok(self.place(node, MatrixOperation::Constant(1, columns, first.to_vec()), columns));
        }
        let region = |kind: fn(&super::Region) -> usize| self.rule.regions.iter().any(|region| kind(region) == node);
        let operation = match &tape.op {
            Op::Leaf if region(|region| region.mean) => MatrixOperation::Mean,
            Op::Leaf if region(|region| region.variance) => MatrixOperation::Variance,
            Op::Leaf => bail!("a statistic of unknown origin"),
            Op::Each(function, a) => MatrixOperation::Each(*function, self.of(*a)?),
            Op::Unbiased(a, _, eps) => MatrixOperation::Unbiased(self.of(*a)?, *eps),
            Op::Two(pair, a, b) => MatrixOperation::Two(*pair, self.of(*a)?, self.of(*b)?),
            Op::Columns(a) => MatrixOperation::MeanColumns(self.of(*a)?),
            Op::Groups(a, groups) => MatrixOperation::MeanGroups(self.of(*a)?, *groups),
            Op::Select { of, rows: None, columns: Some(columns) } => MatrixOperation::Columns(self.of(*of)?, columns.clone()),
            Op::Join(parts) => MatrixOperation::Join(parts.iter().map(|&part| self.of(part)).collect::<Result<_>>()?),
            Op::Softmax(a) => MatrixOperation::Softmax(self.of(*a)?),
            Op::Product(a, b) => MatrixOperation::Product(self.of(*a)?, self.whole(*b)?),
            Op::Rows(..) | Op::Select { .. } | Op::Transpose(_) => bail!("it mixes the instances of a batch, which has no trace"),
        };
        Ok(self.place(node, operation, columns))
    }

    /// The step of a constant all of whose rows count.
    fn whole(&mut self, node: usize) -> Result<usize> {
        let tape = &self.rule.tape.nodes[node];
        if self.varies[node] {
            bail!("it multiplies two matrices that depend on the map, which has no trace")
        }
        let constant = MatrixOperation::Constant(tape.rows, tape.columns, tape.values.clone());
        self.steps.push((constant, tape.columns));
        Ok(self.steps.len() - 1)
    }

    fn place(&mut self, node: usize, operation: MatrixOperation, columns: usize) -> usize {
        self.steps.push((operation, columns));
        self.places[node] = Some(self.steps.len() - 1);
        self.steps.len() - 1
    }
}

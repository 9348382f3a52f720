//! The tape behind [`super::Matrix`]: operations on small row-major f64 matrices, and their gradients. Operations of two matrices
//! broadcast axes of length 1.

use super::function::{Function, unbiased};
use super::rows::{add_row, dot, each_row, mean};
use std::ops::Range;
use std::sync::Arc;

/// An operation of two matrices, value by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pair {
    /// a + b.
    Add,
    /// a − b.
    Sub,
    /// a·b.
    Mul,
    /// a/b.
    Div,
}

/// The operation that computed a node, with the nodes it read.
#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Not computed: a statistic, a parameter or a constant.
    Leaf,
    Each(Function, usize),
    /// x·p/(p − 1) + the number, with p of each row.
    Unbiased(usize, Arc<[usize]>, f64),
    Two(Pair, usize, usize),
    /// Weighted sum over the rows: (1, columns).
    Rows(usize, Arc<[f64]>),
    /// Mean over the columns: (rows, 1).
    Columns(usize),
    /// Mean over each of this many groups of consecutive columns, repeated for every column of the group.
    Groups(usize, usize),
    /// Row r of the result is row `rows[r]`, column c is column `columns[c]`; all of them where `None`.
    Select {
        of: usize,
        rows: Option<Arc<[usize]>>,
        columns: Option<Arc<[usize]>>,
    },
    /// Concatenation along the columns.
    Join(Vec<usize>),
    /// Softmax over the columns of each row.
    Softmax(usize),
    /// (R, K) times the transpose of (O, K).
    Product(usize, usize),
    Transpose(usize),
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f64>,
    pub(super) op: Op,
    /// Whether its gradient is needed.
    wanted: bool,
}

impl Node {
    /// The nodes that it was computed from.
    pub(super) fn inputs(&self) -> Vec<usize> {
        Tape::inputs(&self.op)
    }

    /// Row r, or the single row.
    fn row(&self, r: usize) -> &[f64] {
        &self.values[self.at(r)]
    }

    fn at(&self, r: usize) -> Range<usize> {
        let r = if self.rows == 1 { 0 } else { r };
        r * self.columns..(r + 1) * self.columns
    }
}

/// The nodes, each computed from earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    pub(super) nodes: Vec<Node>,
}

/// Calls `f(k, a, b)` for the columns of two rows, broadcasting a row of one value.
fn zip(columns: usize, a: &[f64], b: &[f64], mut f: impl FnMut(usize, f64, f64)) {
    match (a.len() == columns, b.len() == columns) {
        (true, true) => a.iter().zip(b).enumerate().for_each(|(k, (&a, &b))| f(k, a, b)),
        (true, false) => a.iter().enumerate().for_each(|(k, &a)| f(k, a, b[0])),
        (false, true) => b.iter().enumerate().for_each(|(k, &b)| f(k, a[0], b)),
        (false, false) => (0..columns).for_each(|k| f(k, a[0], b[0])),
    }
}

fn pair(op: Pair, columns: usize, a: &[f64], b: &[f64], out: &mut [f64]) {
    match op {
        Pair::Add => zip(columns, a, b, |k, a, b| out[k] = a + b),
        Pair::Sub => zip(columns, a, b, |k, a, b| out[k] = a - b),
        Pair::Mul => zip(columns, a, b, |k, a, b| out[k] = a * b),
        Pair::Div => zip(columns, a, b, |k, a, b| out[k] = a / b),
    }
}

impl Tape {
    pub(super) fn leaf(&mut self, rows: usize, columns: usize, values: Vec<f64>, wanted: bool) -> usize {
        self.push(Node { rows, columns, values, op: Op::Leaf, wanted })
    }

    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn inputs(op: &Op) -> Vec<usize> {
        match op {
            Op::Leaf => Vec::new(),
            Op::Two(_, a, b) | Op::Product(a, b) => vec![*a, *b],
            Op::Join(parts) => parts.clone(),
            Op::Each(_, a)
            | Op::Unbiased(a, ..)
            | Op::Rows(a, _)
            | Op::Columns(a)
            | Op::Groups(a, _)
            | Op::Softmax(a)
            | Op::Transpose(a)
            | Op::Select { of: a, .. } => vec![*a],
        }
    }

    /// Computes an operation whose shape, (rows, columns), has been checked.
    pub(super) fn compute(&mut self, rows: usize, columns: usize, op: Op) -> usize {
        let mut values = vec![0.; rows * columns];
        let nodes = &self.nodes;
        let of = |node: usize| &nodes[node];
        let mut each = |f: &(dyn Fn(usize, &mut [f64]) + Sync)| each_row(&mut values, columns, f);
        match &op {
            Op::Leaf => {}
            Op::Each(function, a) => each(&|r, out| {
                out.iter_mut().zip(of(*a).row(r)).for_each(|(y, &x)| *y = function.value(x));
            }),
            Op::Unbiased(a, counts, eps) => each(&|r, out| {
                let factor = unbiased(counts[r]);
                out.iter_mut().zip(of(*a).row(r)).for_each(|(y, x)| *y = factor * x + eps);
            }),
            Op::Two(op, a, b) => each(&|r, out| pair(*op, columns, of(*a).row(r), of(*b).row(r), out)),
            Op::Rows(a, weights) => {
                for (r, weight) in weights.iter().enumerate() {
                    values.iter_mut().zip(of(*a).row(r)).for_each(|(sum, x)| *sum += weight * x);
                }
            }
            Op::Columns(a) => each(&|r, out| out[0] = mean(of(*a).row(r))),
            Op::Groups(a, groups) => each(&|r, out| {
                let len = columns / groups;
                out.chunks_exact_mut(len).zip(of(*a).row(r).chunks_exact(len)).for_each(|(out, x)| out.fill(mean(x)));
            }),
            Op::Select { of: a, rows, columns } => each(&|r, out| {
                let from = of(*a).row(rows.as_ref().map_or(r, |rows| rows[r]));
                match columns {
                    Some(columns) => out.iter_mut().zip(columns.iter()).for_each(|(y, &c)| *y = from[c]),
                    None => out.copy_from_slice(from),
                }
            }),
            Op::Join(parts) => each(&|r, out| {
                let mut at = 0;
                for part in parts {
                    let row = of(*part).row(r);
                    out[at..at + row.len()].copy_from_slice(row);
                    at += row.len();
                }
            }),
            Op::Softmax(a) => each(&|r, out| {
                let row = of(*a).row(r);
                let most = row.iter().fold(f64::NEG_INFINITY, |most, &x| most.max(x));
                out.iter_mut().zip(row).for_each(|(y, x)| *y = (x - most).exp());
                let sum: f64 = out.iter().sum();
                out.iter_mut().for_each(|y| *y /= sum);
            }),
            Op::Product(a, b) => each(&|r, out| {
                let row = of(*a).row(r);
                out.iter_mut().enumerate().for_each(|(o, y)| *y = dot(row, of(*b).row(o)));
            }),
            Op::Transpose(a) => each(&|r, out| {
                let from = of(*a);
                out.iter_mut().enumerate().for_each(|(c, y)| *y = from.values[c * from.columns + r]);
            }),
        }
        let wanted = Self::inputs(&op).iter().any(|&input| self.nodes[input].wanted);
        self.push(Node { rows, columns, values, op, wanted })
    }

    /// The gradients of all leaves, given those of some nodes; `None` where a gradient is zero.
    pub(super) fn backward(&self, seeds: impl IntoIterator<Item = (usize, Vec<f64>)>) -> Vec<Option<Vec<f64>>> {
        let mut gradients: Vec<Option<Vec<f64>>> = vec![None; self.nodes.len()];
        for (node, seed) in seeds.into_iter().filter(|(node, _)| self.nodes[*node].wanted) {
            match &mut gradients[node] {
                Some(sum) => sum.iter_mut().zip(seed).for_each(|(sum, seed)| *sum += seed),
                none => *none = Some(seed),
            }
        }
        for index in (0..self.nodes.len()).rev() {
            let node = &self.nodes[index];
            if matches!(node.op, Op::Leaf) {
                continue;
            }
            let Some(g) = gradients[index].take() else { continue };
            for input in Self::inputs(&node.op) {
                if self.nodes[input].wanted && gradients[input].is_none() {
                    gradients[input] = Some(vec![0.; self.nodes[input].values.len()]);
                }
            }
            self.node_backward(node, &g, &mut gradients);
        }
        gradients
    }

    /// Adds to the gradients of a node's inputs, given its own.
    fn node_backward(&self, node: &Node, g: &[f64], gradients: &mut [Option<Vec<f64>>]) {
        let columns = node.columns;
        let rows = || g.chunks_exact(columns.max(1)).enumerate();
        // (gradient of an input, the input), where it is needed
        let mut into = |input: usize, f: &mut dyn FnMut(&mut [f64], &Node)| {
            if let Some(gradient) = &mut gradients[input] {
                f(gradient, &self.nodes[input]);
            }
        };
        match &node.op {
            Op::Leaf => {}
            Op::Each(function, a) => into(*a, &mut |to, x| {
                each_row(to, columns, |r, to| {
                    let each = to.iter_mut().zip(&g[r * columns..]).zip(x.row(r).iter().zip(node.row(r)));
                    each.for_each(|((to, g), (&x, &y))| *to += g * function.slope(x, y));
                });
            }),
            Op::Unbiased(a, counts, _) => into(*a, &mut |to, x| {
                rows().for_each(|(r, g)| add_row(&mut to[x.at(r)], columns, g, |_| unbiased(counts[r])));
            }),
            Op::Two(op, a, b) => self.pair_backward(*op, [*a, *b], columns, g, &mut into),
            Op::Rows(a, weights) => into(*a, &mut |to, x| {
                for (r, weight) in weights.iter().enumerate() {
                    add_row(&mut to[x.at(r)], columns, g, |_| *weight);
                }
            }),
            Op::Columns(a) => into(*a, &mut |to, x| {
                rows().for_each(|(r, g)| to[x.at(r)].iter_mut().for_each(|to| *to += g[0] / x.columns as f64));
            }),
            Op::Groups(a, groups) => into(*a, &mut |to, x| {
                let len = columns / groups;
                for (r, g) in rows() {
                    let each = to[x.at(r)].chunks_exact_mut(len).zip(g.chunks_exact(len));
                    each.for_each(|(to, g)| {
                        let share = mean(g);
                        to.iter_mut().for_each(|to| *to += share);
                    });
                }
            }),
            Op::Select { of, rows: chosen, columns: picked } => into(*of, &mut |to, x| {
                for (r, g) in rows() {
                    let to = &mut to[x.at(chosen.as_ref().map_or(r, |rows| rows[r]))];
                    match picked {
                        Some(picked) => picked.iter().zip(g).for_each(|(&c, g)| to[c] += g),
                        None => to.iter_mut().zip(g).for_each(|(to, g)| *to += g),
                    }
                }
            }),
            Op::Join(parts) => {
                let mut at = 0;
                for part in parts {
                    let len = self.nodes[*part].columns;
                    into(*part, &mut |to, x| rows().for_each(|(r, g)| add_row(&mut to[x.at(r)], len, &g[at..at + len], |_| 1.)));
                    at += len;
                }
            }
            Op::Softmax(a) => into(*a, &mut |to, x| {
                for (r, g) in rows() {
                    let y = node.row(r);
                    let sum: f64 = g.iter().zip(y).map(|(g, y)| g * y).sum();
                    to[x.at(r)].iter_mut().zip(g.iter().zip(y)).for_each(|(to, (g, y))| *to += y * (g - sum));
                }
            }),
            Op::Product(a, b) => {
                let (one, two) = (&self.nodes[*a], &self.nodes[*b]);
                // a row of either is used by all rows of the other
                into(*a, &mut |to, x| {
                    each_row(to, x.columns, |r, to| {
                        g[r * columns..][..columns]
                            .iter()
                            .enumerate()
                            .for_each(|(o, g)| add_row(to, x.columns, two.row(o), |_| *g));
                    });
                });
                into(*b, &mut |to, x| {
                    each_row(to, x.columns, |o, to| rows().for_each(|(r, g)| add_row(to, x.columns, one.row(r), |_| g[o])));
                });
            }
            Op::Transpose(a) => into(*a, &mut |to, x| {
                rows().for_each(|(r, g)| g.iter().enumerate().for_each(|(c, g)| to[c * x.columns + r] += g));
            }),
        }
    }

    fn pair_backward(
        &self,
        op: Pair,
        [a, b]: [usize; 2],
        columns: usize,
        g: &[f64],
        into: &mut impl FnMut(usize, &mut dyn FnMut(&mut [f64], &Node)),
    ) {
        let (one, two) = (&self.nodes[a], &self.nodes[b]);
        let value = |row: &[f64], k: usize| if row.len() == 1 { row[0] } else { row[k] };
        let of_first = |r: usize, g: &[f64], to: &mut [f64]| {
            let b = two.row(r);
            match op {
                Pair::Add | Pair::Sub => add_row(to, columns, g, |_| 1.),
                Pair::Mul => add_row(to, columns, g, |k| value(b, k)),
                Pair::Div => add_row(to, columns, g, |k| 1. / value(b, k)),
            }
        };
        let of_second = |r: usize, g: &[f64], to: &mut [f64]| {
            let (a, b) = (one.row(r), two.row(r));
            match op {
                Pair::Add => add_row(to, columns, g, |_| 1.),
                Pair::Sub => add_row(to, columns, g, |_| -1.),
                Pair::Mul => add_row(to, columns, g, |k| value(a, k)),
                Pair::Div => add_row(to, columns, g, |k| -value(a, k) / (value(b, k) * value(b, k))),
            }
        };
        spread(into, a, g, columns, of_first);
        spread(into, b, g, columns, of_second);
    }
}

/// Calls `of(row, gradient of the row of the result, to)` for an input's rows, or for its single row with every row of the result.
fn spread(
    into: &mut impl FnMut(usize, &mut dyn FnMut(&mut [f64], &Node)),
    input: usize,
    g: &[f64],
    columns: usize,
    of: impl Fn(usize, &[f64], &mut [f64]) + Sync,
) {
    into(input, &mut |to, x| match x.rows * columns == g.len() {
        true => each_row(to, x.columns, |r, to| of(r, &g[r * columns..][..columns], to)),
        false => g.chunks_exact(columns.max(1)).enumerate().for_each(|(r, g)| of(r, g, to)),
    });
}

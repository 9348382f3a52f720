//! Which positions of a map take part: all, a window of the grid, the first few (a padded sequence), or some in a row (a part of one).

use std::ops::Range;

/// The positions of a (N, positions, C) map that statistics and affine maps read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions<'a> {
    /// Every position.
    All,
    /// A box of a grid of that width, half open: rows `top..bottom`, columns `left..right`, the same for all instances.
    Box {
        /// Columns of the grid.
        width: usize,
        /// First row.
        top: usize,
        /// First column.
        left: usize,
        /// One past the last row.
        bottom: usize,
        /// One past the last column.
        right: usize,
    },
    /// The first `lengths[n]` positions of instance n (padding behind them does not count).
    Prefix(&'a [usize]),
    /// Of instance n the positions `spans[n].0` up to (not including) `spans[n].1`.
    Spans(&'a [(usize, usize)]),
}

impl Positions<'_> {
    /// How many positions of instance `n` take part.
    pub fn count(&self, n: usize, positions: usize) -> usize {
        match *self {
            Positions::All => positions,
            Positions::Box { top, left, bottom, right, .. } => (bottom - top) * (right - left),
            Positions::Prefix(lengths) => lengths[n],
            Positions::Spans(spans) => spans[n].1 - spans[n].0,
        }
    }

    /// The contiguous runs of taking-part positions of instance `n`, in order.
    pub fn runs(&self, n: usize, positions: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, step, first, length) = match *self {
            Positions::All => (1, 0, 0, positions),
            Positions::Box { width, top, left, bottom, right } => (bottom - top, width, top * width + left, right - left),
            Positions::Prefix(lengths) => (1, 0, 0, lengths[n]),
            Positions::Spans(spans) => (1, 0, spans[n].0, spans[n].1 - spans[n].0),
        };
        (0..rows).map(move |row| first + row * step..first + row * step + length)
    }
}

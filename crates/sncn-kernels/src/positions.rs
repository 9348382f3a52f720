//! `Positions`: the positions of a map that a kernel works on.

use std::ops::Range;

/// The positions of a map (N, positions, C) that statistics are taken over, or that an affine map changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions<'a> {
    /// Every position.
    All,
    /// A box of images, the same for all instances: rows `top..bottom`, columns `left..right`.
    Box {
        /// Width of the images.
        width: usize,
        /// The first row.
        top: usize,
        /// The first column.
        left: usize,
        /// The row after the last.
        bottom: usize,
        /// The column after the last.
        right: usize,
    },
    /// The first `lengths[n]` positions of instance n: those of a padded sequence.
    Prefix(&'a [usize]),
    /// Positions `spans[n].0..spans[n].1` of instance n.
    Spans(&'a [(usize, usize)]),
}

impl Positions<'_> {
    /// Returns the number of these positions in instance `n`; `positions` is the number of all its positions.
    pub fn count(&self, n: usize, positions: usize) -> usize {
        match *self {
            Positions::All => positions,
            Positions::Box { top, left, bottom, right, .. } => (bottom - top) * (right - left),
            Positions::Prefix(lengths) => lengths[n],
            Positions::Spans(spans) => spans[n].1 - spans[n].0,
        }
    }

    /// Returns the contiguous runs of these positions in instance `n`, in order.
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

//! The channel affine map y = a·(x − m) + b, one centre, scale and shift for every (instance, channel), optionally rectified.
//!
//! x is (N, positions, C); the table has N rows, or one row that serves every instance. Outside the given positions y is
//! x itself (a content crop) or zero (padding).

use crate::positions::Positions;
use crate::real::Real;
use crate::stats::MapShape;
use rayon::prelude::*;

/// What stands at positions that take no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The input, unchanged.
    Keep,
    /// Zero.
    Zero,
}

/// The settings of one affine map.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Extents of x.
    pub shape: MapShape,
    /// Where a and b apply.
    pub positions: Positions<'a>,
    /// What stands elsewhere.
    pub outside: Outside,
    /// y = max(0, a·x + b).
    pub relu: bool,
    /// Rows of the table: N, or 1 for all instances alike.
    pub rows: usize,
}

impl Affine<'_> {
    fn row(&self, n: usize) -> std::ops::Range<usize> {
        let n = if self.rows == 1 { 0 } else { n };
        n * self.shape.channels..(n + 1) * self.shape.channels
    }

    fn check(&self, lens: &[usize], tables: &[usize]) {
        let (values, table) = (self.shape.instances * self.shape.instance_len(), self.rows * self.shape.channels);
        assert!(self.rows == 1 || self.rows == self.shape.instances, "table rows");
        assert!(lens.iter().all(|&len| len == values) && tables.iter().all(|&len| len == table), "slice lengths");
    }
}

/// y = a·(x − m) + b; the centre m keeps a mean that is large against the spread from cancelling.
///
/// # Panics
/// Where slice lengths do not fit the shape.
pub fn channel_affine<T: Real>(op: &Affine<'_>, xs: &[T], m: &[T], a: &[T], b: &[T], ys: &mut [T]) {
    op.check(&[xs.len(), ys.len()], &[m.len(), a.len(), b.len()]);
    if xs.is_empty() {
        return;
    }
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    ys.par_chunks_exact_mut(len).zip(xs.par_chunks_exact(len)).enumerate().for_each(|(n, (ys, xs))| {
        let (m, a, b) = (&m[op.row(n)], &a[op.row(n)], &b[op.row(n)]);
        if op.positions != Positions::All {
            match op.outside {
                Outside::Keep => ys.copy_from_slice(xs),
                Outside::Zero => ys.fill(T::ZERO),
            }
        }
        for run in op.positions.runs(n, op.shape.positions) {
            let run = run.start * channels..run.end * channels;
            for (ys, xs) in ys[run.clone()].chunks_exact_mut(channels).zip(xs[run].chunks_exact(channels)) {
                let row = ys.iter_mut().zip(xs).zip(m).zip(a).zip(b);
                if op.relu {
                    row.for_each(|((((y, &x), &m), &a), &b)| {
                        let value = a * (x - m) + b;
                        *y = if value > T::ZERO { value } else { T::ZERO };
                    });
                } else {
                    row.for_each(|((((y, &x), &m), &a), &b)| *y = a * (x - m) + b);
                }
            }
        }
    });
}

/// Gradients of the affine map: dx = a·gy, da = Σ gy·(x − m), db = Σ gy (and dm = −a·db); where rectified, only positions with y > 0 count.
///
/// `ys` is the output, needed where the map is rectified. Sums run in blocks, then in double precision, in a fixed order.
///
/// # Panics
/// Where slice lengths do not fit the shape.
#[allow(clippy::too_many_arguments, reason = "three inputs, two of them tables, and a gradient for each")]
pub fn channel_affine_backward<T: Real>(
    op: &Affine<'_>,
    xs: &[T],
    m: &[T],
    a: &[T],
    ys: &[T],
    gy: &[T],
    dx: &mut [T],
    da: &mut [T],
    db: &mut [T],
) {
    op.check(&[xs.len(), gy.len(), dx.len()], &[m.len(), a.len(), da.len(), db.len()]);
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    da.fill(T::ZERO);
    db.fill(T::ZERO);
    if xs.is_empty() {
        return;
    }
    let one = |(n, dx): (usize, &mut [T])| {
        let at = n * len..(n + 1) * len;
        instance_backward(
            op,
            n,
            &xs[at.clone()],
            (&m[op.row(n)], &a[op.row(n)]),
            if op.relu { &ys[at.clone()] } else { &[] },
            &gy[at],
            dx,
        )
    };
    let sums: Vec<Vec<f64>> = dx.par_chunks_exact_mut(len).enumerate().map(one).collect();
    let mut totals = vec![0f64; 2 * op.rows * channels];
    for (n, sums) in sums.iter().enumerate() {
        let row = op.row(n).start;
        for c in 0..channels {
            totals[row + c] += sums[c];
            totals[op.rows * channels + row + c] += sums[channels + c];
        }
    }
    let (for_a, for_b) = totals.split_at(op.rows * channels);
    da.iter_mut().zip(for_a).for_each(|(d, &s)| *d = T::real(s));
    db.iter_mut().zip(for_b).for_each(|(d, &s)| *d = T::real(s));
}

/// One instance: writes dx and returns Σ gy·(x − m) and Σ gy for each channel.
fn instance_backward<T: Real>(
    op: &Affine<'_>,
    n: usize,
    xs: &[T],
    (m, a): (&[T], &[T]),
    ys: &[T],
    gy: &[T],
    dx: &mut [T],
) -> Vec<f64> {
    const BLOCK: usize = 32;
    let channels = op.shape.channels;
    if op.positions != Positions::All {
        match op.outside {
            Outside::Keep => dx.copy_from_slice(gy),
            Outside::Zero => dx.fill(T::ZERO),
        }
    }
    let mut totals = vec![0f64; 2 * channels];
    let (mut block_a, mut block_b) = (vec![T::ZERO; channels], vec![T::ZERO; channels]);
    for run in op.positions.runs(n, op.shape.positions) {
        let mut start = run.start;
        while start < run.end {
            let end = (start + BLOCK).min(run.end);
            block_a.fill(T::ZERO);
            block_b.fill(T::ZERO);
            for p in start..end {
                let at = p * channels..(p + 1) * channels;
                let row = dx[at.clone()].iter_mut().zip(&xs[at.clone()]).zip(&gy[at.clone()]).zip(a.iter().zip(m));
                let row = row.zip(block_a.iter_mut().zip(&mut block_b));
                if op.relu {
                    for (((((dx, &x), &g), (&a, &m)), (sa, sb)), &y) in row.zip(&ys[at]) {
                        let g = if y > T::ZERO { g } else { T::ZERO };
                        *dx = a * g;
                        *sa += g * (x - m);
                        *sb += g;
                    }
                } else {
                    for ((((dx, &x), &g), (&a, &m)), (sa, sb)) in row {
                        *dx = a * g;
                        *sa += g * (x - m);
                        *sb += g;
                    }
                }
            }
            for c in 0..channels {
                totals[c] += block_a[c].double();
                totals[channels + c] += block_b[c].double();
            }
            start = end;
        }
    }
    totals
}

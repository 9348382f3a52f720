//! The affine map y = scale·(x − centre) + bias of a channels-last map, and its gradients.
//!
//! x is (N, positions, C); centre, scale and bias are matrices of N rows, or of one row that all instances share. Only the given
//! positions change: at others y is x, or zero.

use crate::positions::Positions;
use crate::real::Real;
use crate::rows;
use crate::simd::Form;
use crate::stats::MapShape;
use rayon::prelude::*;

/// What y is at positions outside the given ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// x, unchanged.
    Keep,
    /// Zero.
    Zero,
}

/// The settings of an affine map.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Shape of x.
    pub shape: MapShape,
    /// The positions that change.
    pub positions: Positions<'a>,
    /// What y is at other positions.
    pub outside: Outside,
    /// Rows of the matrices: N, or 1 for all instances alike.
    pub rows: usize,
}

impl Affine<'_> {
    fn row(&self, n: usize) -> std::ops::Range<usize> {
        let n = if self.rows == 1 { 0 } else { n };
        n * self.shape.channels..(n + 1) * self.shape.channels
    }

    fn check(&self, lens: &[usize], matrices: &[usize]) {
        let (values, matrix) = (self.shape.instances * self.shape.instance_len(), self.rows * self.shape.channels);
        assert!(self.rows == 1 || self.rows == self.shape.instances, "affine: {} rows for {:?}", self.rows, self.shape);
        assert!(lens.iter().all(|&len| len == values), "affine: lengths {lens:?} for {:?}", self.shape);
        assert!(matrices.iter().all(|&len| len == matrix), "affine: matrices of {matrices:?} values, expected {matrix}");
    }
}

/// Computes y = scale·(x − centre) + bias. In this form a mean that is large relative to the standard deviation does not cancel.
///
/// # Panics
/// Panics where a slice is not of the given shape, or the processor lacks the form.
pub fn channel_affine<T: Real>(form: Form, op: &Affine<'_>, xs: &[T], centre: &[T], scale: &[T], bias: &[T], ys: &mut [T]) {
    op.check(&[xs.len(), ys.len()], &[centre, scale, bias].map(<[T]>::len));
    if xs.is_empty() {
        return;
    }
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    ys.par_chunks_exact_mut(len).zip(xs.par_chunks_exact(len)).enumerate().for_each(|(n, (ys, xs))| {
        let [centre, scale, bias] = [centre, scale, bias].map(|matrix| &matrix[op.row(n)]);
        if op.positions != Positions::All {
            match op.outside {
                Outside::Keep => ys.copy_from_slice(xs),
                Outside::Zero => ys.fill(T::ZERO),
            }
        }
        for run in op.positions.runs(n, op.shape.positions) {
            let run = run.start * channels..run.end * channels;
            rows::centred_affine(form, &xs[run.clone()], centre, scale, bias, &mut ys[run]);
        }
    });
}

/// Computes the gradients of [`channel_affine`] from that of y: of x (scale·gy), of the scale (Σ gy·(x − centre)) and of the bias
/// (Σ gy). That of the centre is −scale times that of the bias. Sums run in blocks, then in double precision, in a fixed order.
///
/// # Panics
/// As [`channel_affine`].
#[allow(clippy::too_many_arguments, reason = "three inputs, and a gradient for each")]
pub fn channel_affine_backward<T: Real>(
    form: Form,
    op: &Affine<'_>,
    xs: &[T],
    centre: &[T],
    scale: &[T],
    gy: &[T],
    dx: &mut [T],
    dscale: &mut [T],
    dbias: &mut [T],
) {
    op.check(&[xs.len(), gy.len(), dx.len()], &[centre.len(), scale.len(), dscale.len(), dbias.len()]);
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    dscale.fill(T::ZERO);
    dbias.fill(T::ZERO);
    if xs.is_empty() {
        return;
    }
    let mut sums = vec![0f64; 2 * op.shape.instances * channels];
    dx.par_chunks_exact_mut(len).zip(sums.par_chunks_exact_mut(2 * channels)).enumerate().for_each(|(n, (dx, sums))| {
        let (xs, gy) = (&xs[n * len..(n + 1) * len], &gy[n * len..(n + 1) * len]);
        let (one, two) = sums.split_at_mut(channels);
        if op.positions != Positions::All {
            match op.outside {
                Outside::Keep => dx.copy_from_slice(gy),
                Outside::Zero => dx.fill(T::ZERO),
            }
        }
        for run in op.positions.runs(n, op.shape.positions) {
            let run = run.start * channels..run.end * channels;
            let (xs, gy, dx) = (&xs[run.clone()], &gy[run.clone()], &mut dx[run]);
            rows::affine_backward(form, xs, &centre[op.row(n)], &scale[op.row(n)], gy, dx, one, two);
        }
    });
    let mut totals = vec![0f64; 2 * op.rows * channels];
    for (n, sums) in sums.chunks_exact(2 * channels).enumerate() {
        let row = 2 * op.row(n).start;
        totals[row..row + 2 * channels].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    let rows = dscale.chunks_exact_mut(channels).zip(dbias.chunks_exact_mut(channels));
    for (totals, (dscale, dbias)) in totals.chunks_exact(2 * channels).zip(rows) {
        let (for_bias, for_scale) = totals.split_at(channels);
        dscale.iter_mut().zip(for_scale).for_each(|(d, &s)| *d = T::from_f64(s));
        dbias.iter_mut().zip(for_bias).for_each(|(d, &s)| *d = T::from_f64(s));
    }
}

//! The channel affine map y = a·(x − m) + b, one centre, scale and bias for every (instance, channel), optionally rectified.
//!
//! x is (N, positions, C); the table has N rows, or one row that serves every instance. Outside the given positions y is
//! x itself (a content crop) or zero (padding).

use crate::positions::Positions;
use crate::real::Real;
use crate::rows;
use crate::simd::Form;
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

/// y = a·(x − m) + b; the centre m keeps a mean that is large against the spread from cancelling. The rectifier keeps NaN.
///
/// # Panics
/// Where slice lengths do not fit the shape.
pub fn channel_affine<T: Real>(op: &Affine<'_>, xs: &[T], m: &[T], a: &[T], b: &[T], ys: &mut [T]) {
    match (T::as_f32(xs), T::as_f32(m), T::as_f32(a), T::as_f32(b), T::as_f32_mut(ys)) {
        (Some(xs), Some(m), Some(a), Some(b), Some(ys)) => channel_affine_by(Form::current(), op, xs, m, a, b, ys),
        _ => channel_affine_generic(op, xs, m, a, b, ys),
    }
}

/// [`channel_affine`] in this form.
///
/// # Panics
/// Where slice lengths do not fit the shape or the processor lacks the form.
pub fn channel_affine_by(form: Form, op: &Affine<'_>, xs: &[f32], m: &[f32], a: &[f32], b: &[f32], ys: &mut [f32]) {
    forward(op, xs, [m, a, b], ys, |x, [m, a, b], y| rows::centred_affine_by(form, x, m, a, b, op.relu, y));
}

/// [`channel_affine`] as plain loops, for any element.
///
/// # Panics
/// As [`channel_affine`].
pub fn channel_affine_generic<T: Real>(op: &Affine<'_>, xs: &[T], m: &[T], a: &[T], b: &[T], ys: &mut [T]) {
    forward(op, xs, [m, a, b], ys, |x, [m, a, b], y| rows::naive::centred_affine(x, m, a, b, op.relu, y));
}

/// Calls `each(x, rows of the tables, y)` for every run of positions.
fn forward<T: Real>(op: &Affine<'_>, xs: &[T], tables: [&[T]; 3], ys: &mut [T], each: impl Fn(&[T], [&[T]; 3], &mut [T]) + Sync) {
    op.check(&[xs.len(), ys.len()], &tables.map(<[T]>::len));
    if xs.is_empty() {
        return;
    }
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    ys.par_chunks_exact_mut(len).zip(xs.par_chunks_exact(len)).enumerate().for_each(|(n, (ys, xs))| {
        let tables = tables.map(|table| &table[op.row(n)]);
        if op.positions != Positions::All {
            match op.outside {
                Outside::Keep => ys.copy_from_slice(xs),
                Outside::Zero => ys.fill(T::ZERO),
            }
        }
        for run in op.positions.runs(n, op.shape.positions) {
            let run = run.start * channels..run.end * channels;
            each(&xs[run.clone()], tables, &mut ys[run]);
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
    let inputs = (T::as_f32(xs), T::as_f32(m), T::as_f32(a), T::as_f32(ys), T::as_f32(gy));
    match (inputs, T::as_f32_mut(dx), T::as_f32_mut(da), T::as_f32_mut(db)) {
        ((Some(xs), Some(m), Some(a), Some(ys), Some(gy)), Some(dx), Some(da), Some(db)) => {
            channel_affine_backward_by(Form::current(), op, xs, m, a, ys, gy, dx, da, db);
        }
        _ => channel_affine_backward_generic(op, xs, m, a, ys, gy, dx, da, db),
    }
}

/// [`channel_affine_backward`] in this form.
///
/// # Panics
/// Where slice lengths do not fit the shape or the processor lacks the form.
#[allow(clippy::too_many_arguments, reason = "three inputs, two of them tables, and a gradient for each")]
pub fn channel_affine_backward_by(
    form: Form,
    op: &Affine<'_>,
    xs: &[f32],
    m: &[f32],
    a: &[f32],
    ys: &[f32],
    gy: &[f32],
    dx: &mut [f32],
    da: &mut [f32],
    db: &mut [f32],
) {
    backward(op, [xs, ys, gy], [m, a], dx, [da, db], |[x, y, g], [m, a], dx, [one, two]| {
        rows::affine_backward_by(form, x, m, a, op.relu.then_some(y), g, dx, one, two);
    });
}

/// [`channel_affine_backward`] as plain loops, for any element.
///
/// # Panics
/// As [`channel_affine_backward`].
#[allow(clippy::too_many_arguments, reason = "three inputs, two of them tables, and a gradient for each")]
pub fn channel_affine_backward_generic<T: Real>(
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
    backward(op, [xs, ys, gy], [m, a], dx, [da, db], |[x, y, g], [m, a], dx, [one, two]| {
        rows::naive::affine_backward(x, m, a, op.relu.then_some(y), g, dx, one, two);
    });
}

/// Calls `each([x, y, gy], [m, a], dx, [Σ gy, Σ gy·(x − m)])` for every run of positions; y is x where it is not needed.
fn backward<T: Real>(
    op: &Affine<'_>,
    [xs, ys, gy]: [&[T]; 3],
    [m, a]: [&[T]; 2],
    dx: &mut [T],
    [da, db]: [&mut [T]; 2],
    each: impl Fn([&[T]; 3], [&[T]; 2], &mut [T], [&mut [f64]; 2]) + Sync,
) {
    op.check(&[xs.len(), gy.len(), dx.len()], &[m.len(), a.len(), da.len(), db.len()]);
    assert!(!op.relu || ys.len() == xs.len(), "slice lengths");
    let (channels, len) = (op.shape.channels, op.shape.instance_len());
    da.fill(T::ZERO);
    db.fill(T::ZERO);
    if xs.is_empty() {
        return;
    }
    let mut sums = vec![0f64; 2 * op.shape.instances * channels];
    dx.par_chunks_exact_mut(len).zip(sums.par_chunks_exact_mut(2 * channels)).enumerate().for_each(|(n, (dx, sums))| {
        let (xs, gy) = (&xs[n * len..(n + 1) * len], &gy[n * len..(n + 1) * len]);
        let ys = if op.relu { &ys[n * len..(n + 1) * len] } else { xs };
        let (one, two) = sums.split_at_mut(channels);
        if op.positions != Positions::All {
            match op.outside {
                Outside::Keep => dx.copy_from_slice(gy),
                Outside::Zero => dx.fill(T::ZERO),
            }
        }
        for run in op.positions.runs(n, op.shape.positions) {
            let run = run.start * channels..run.end * channels;
            let maps = [xs, ys, gy].map(|map| &map[run.clone()]);
            each(maps, [&m[op.row(n)], &a[op.row(n)]], &mut dx[run], [&mut *one, &mut *two]);
        }
    });
    let mut totals = vec![0f64; 2 * op.rows * channels];
    for (n, sums) in sums.chunks_exact(2 * channels).enumerate() {
        let row = 2 * op.row(n).start;
        totals[row..row + 2 * channels].iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
    }
    for (totals, (da, db)) in
        totals.chunks_exact(2 * channels).zip(da.chunks_exact_mut(channels).zip(db.chunks_exact_mut(channels)))
    {
        let (for_b, for_a) = totals.split_at(channels);
        da.iter_mut().zip(for_a).for_each(|(d, &s)| *d = T::from_f64(s));
        db.iter_mut().zip(for_b).for_each(|(d, &s)| *d = T::from_f64(s));
    }
}

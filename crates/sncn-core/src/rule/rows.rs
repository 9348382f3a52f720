//! Rows of small matrices: the loops of the tape. What a row becomes does not depend on the number of threads.

use rayon::prelude::*;

/// Values from which on rows are shared by threads; less is done sooner than they are woken.
const SHARED: usize = 4096;

/// Calls `f` with every row of a matrix and its number.
pub(super) fn each_row(values: &mut [f64], columns: usize, f: impl Fn(usize, &mut [f64]) + Sync) {
    let columns = columns.max(1);
    match values.len() < SHARED {
        true => values.chunks_exact_mut(columns).enumerate().for_each(|(r, row)| f(r, row)),
        false => {
            let rows = values.par_chunks_exact_mut(columns).with_min_len((SHARED / 4).div_ceil(columns));
            rows.enumerate().for_each(|(r, row)| f(r, row));
        }
    }
}

/// The sum of products, in eight sums side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (whole, rest) = a.as_chunks::<8>();
    let (other, others) = b.as_chunks::<8>();
    let mut sums = [0.; 8];
    for (a, b) in whole.iter().zip(other) {
        (0..8).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + rest.iter().zip(others).map(|(a, b)| a * b).sum::<f64>()
}

/// Adds `g·factor(k)` to a row's gradient, summed where the row has one value.
pub(super) fn add_row(to: &mut [f64], columns: usize, g: &[f64], factor: impl Fn(usize) -> f64) {
    if to.len() == columns {
        to.iter_mut().zip(g).enumerate().for_each(|(k, (to, g))| *to += g * factor(k));
    } else {
        to[0] += g.iter().enumerate().map(|(k, g)| g * factor(k)).sum::<f64>();
    }
}

/// The mean of a row.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

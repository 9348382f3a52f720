//! Sums over a batch in a fixed number of parts that are added in order, so that they do not depend on the number of threads.

use crate::real::Real;
use crate::scratch::Scratch;
use rayon::prelude::*;
use std::ops::Range;

/// Parts of every sum over the batch.
pub(crate) const PARTS: usize = 8;

/// Sums `PARTS` accumulators of `len` elements, each filled by `fill(part range of 0..count, accumulator)`, in order.
pub(crate) fn in_parts<T: Real>(count: usize, len: usize, fill: impl Fn(Range<usize>, &mut [T]) + Sync) -> Vec<T> {
    let parts: Vec<Vec<T>> = (0..PARTS)
        .into_par_iter()
        .map(|p| {
            let range = count * p / PARTS..count * (p + 1) / PARTS;
            let mut sum = vec![T::ZERO; if range.is_empty() { 0 } else { len }];
            if !range.is_empty() {
                fill(range, &mut sum);
            }
            sum
        })
        .collect();
    let mut total = vec![T::ZERO; len];
    for part in &parts {
        total.iter_mut().zip(part).for_each(|(t, &p)| *t += p);
    }
    total
}

/// `total` = the sum of 8 parts of `0..count`, each written by `fill` over whatever its buffer holds, added in order.
pub(crate) fn sum_parts(count: usize, total: &mut [f32], fill: impl Fn(Range<usize>, &mut [f32]) + Sync) {
    total.fill(0.0);
    if total.is_empty() || count == 0 {
        return;
    }
    let len = total.len();
    let mut parts = Scratch::take(PARTS * len);
    parts.par_chunks_exact_mut(len).enumerate().for_each(|(p, sum)| {
        let range = count * p / PARTS..count * (p + 1) / PARTS;
        if range.is_empty() { sum.fill(0.0) } else { fill(range, sum) }
    });
    const BLOCK: usize = 1 << 14;
    total.par_chunks_mut(BLOCK).enumerate().for_each(|(i, total)| {
        for part in parts.chunks_exact(len) {
            total.iter_mut().zip(&part[i * BLOCK..]).for_each(|(t, &p)| *t += p);
        }
    });
}

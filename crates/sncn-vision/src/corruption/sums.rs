//! Weighted sums of moved copies of a row, in f64: the inner loops of the filters, on vectors that stay in registers over all taps.
//!
//! Every product and every sum is rounded by itself and in the order of the taps, so the vectors' width changes nothing.

#![allow(clippy::needless_range_loop, reason = "plain loops: a closure may not be compiled for the vector unit")]

use pulp::{Arch, Simd, WithSimd};

/// Vectors that are summed together: enough that additions do not wait for each other.
const VECTORS: usize = 8;
/// Rows are as long as a multiple of this many values, whatever the width of a vector.
pub(super) const BLOCK: usize = VECTORS * 8;

/// out(x) = c · values(centre + x) + Σ (values(left + x) + values(right + x)) · weight, over the pairs of places in their order.
pub(super) struct Pairs<'a> {
    /// What is read, with all places of the row inside it.
    pub(super) values: &'a [f64],
    /// The place of the middle and its weight.
    pub(super) centre: (usize, f64),
    /// The places on both sides.
    pub(super) sides: &'a [[usize; 2]],
    /// The weight of each pair.
    pub(super) weights: &'a [f64],
    /// A multiple of [`BLOCK`] values.
    pub(super) out: &'a mut [f64],
}

impl Pairs<'_> {
    /// Writes the sums.
    pub(super) fn sum(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { values, centre: (centre, weight), sides, weights, out } = self;
        let (middle, block) = (simd.splat_f64s(weight), VECTORS * S::F64_LANES);
        for (at, out) in out.chunks_exact_mut(block).enumerate() {
            let at = at * block;
            let Some(here) = vectors::<S>(values, centre + at) else { return };
            let mut sum = [middle; VECTORS];
            for i in 0..VECTORS {
                sum[i] = simd.mul_f64s(sum[i], here[i]);
            }
            for (&[left, right], &weight) in sides.iter().zip(weights) {
                let Some(left) = vectors::<S>(values, left + at) else { return };
                let Some(right) = vectors::<S>(values, right + at) else { return };
                let weight = simd.splat_f64s(weight);
                for i in 0..VECTORS {
                    sum[i] = simd.add_f64s(sum[i], simd.mul_f64s(simd.add_f64s(left[i], right[i]), weight));
                }
            }
            S::as_mut_simd_f64s(out).0.copy_from_slice(&sum);
        }
    }
}

/// out(x) = Σ weight · values(place + x), over the taps in their order.
pub(super) struct Moved<'a> {
    /// What is read, with all places of the row inside it.
    pub(super) values: &'a [f64],
    /// The places and their weights.
    pub(super) taps: &'a [(usize, f64)],
    /// A multiple of [`BLOCK`] values.
    pub(super) out: &'a mut [f64],
}

impl Moved<'_> {
    /// Writes the sums.
    pub(super) fn sum(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Moved<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { values, taps, out } = self;
        let block = VECTORS * S::F64_LANES;
        for (at, out) in out.chunks_exact_mut(block).enumerate() {
            let mut sum = [simd.splat_f64s(0.0); VECTORS];
            for &(place, weight) in taps {
                let Some(values) = vectors::<S>(values, place + at * block) else { return };
                let weight = simd.splat_f64s(weight);
                for i in 0..VECTORS {
                    sum[i] = simd.add_f64s(sum[i], simd.mul_f64s(weight, values[i]));
                }
            }
            S::as_mut_simd_f64s(out).0.copy_from_slice(&sum);
        }
    }
}

/// The vectors from a place on; none where the values end, which no caller asks for.
#[inline(always)]
fn vectors<S: Simd>(values: &[f64], at: usize) -> Option<&[S::f64s; VECTORS]> {
    S::as_simd_f64s(values.get(at..at + VECTORS * S::F64_LANES)?).0.first_chunk()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_plain_loops_to_the_last_bit() {
        let values: Vec<f64> = (0..700).map(|i| (f64::from(i) * 0.37).sin() + 0.1).collect();
        let (sides, weights) = ([[0, 400], [7, 333], [90, 91]], [0.11, 0.23, 0.31]);
        let taps = [(3, 0.7), (0, 0.1), (555, 1.3), (12, 0.9)];
        let (mut pairs, mut moved) = ([0.0; 2 * BLOCK], [0.0; 2 * BLOCK]);
        Pairs { values: &values, centre: (50, 0.4), sides: &sides, weights: &weights, out: &mut pairs }.sum();
        Moved { values: &values, taps: &taps, out: &mut moved }.sum();
        for x in 0..2 * BLOCK {
            let pair = |sum, ([l, r], w): (&[usize; 2], f64)| sum + (values[l + x] + values[r + x]) * w;
            assert_eq!(pairs[x], sides.iter().zip(weights).fold(0.4 * values[50 + x], pair));
            assert_eq!(moved[x], taps.iter().fold(0.0, |sum, &(place, weight)| sum + weight * values[place + x]));
        }
    }
}

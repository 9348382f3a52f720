//! Sums over bands of a map, which threads compute in any order and which are combined in a fixed one.

use super::recording::Sums;
use crate::rule::Moments;
use sncn_kernels::rows;
use sncn_kernels::simd::Form as Kernels;
use std::sync::{Mutex, PoisonError};

/// Statistics, computed while bands of a map are written.
#[derive(Default)]
pub(super) struct Gather(Mutex<Vec<Band>>);

struct Band {
    n: usize,
    start: usize,
    count: usize,
    centre: Vec<f32>,
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Gather {
    /// Adds the band of instance `n` that begins at position `start`.
    pub(super) fn add(&self, n: usize, start: usize, ys: &[f32], c: usize) {
        if ys.is_empty() {
            return;
        }
        let centre = ys[..c].to_vec();
        let (mut one, mut two) = (vec![0.; c], vec![0.; c]);
        rows::centred_sums(Kernels::current(), ys, &centre, &mut one, &mut two);
        let part = Band { n, start, count: ys.len() / c, centre, one, two };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// Mean and variance (N, C), merged from those of the bands in order (Chan, Golub, LeVeque 1983).
    pub(super) fn moments(self, n: usize, c: usize) -> Moments {
        let mut parts = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        parts.sort_unstable_by_key(|part| (part.n, part.start));
        let mut moments = Moments { mean: vec![0.; n * c], variance: vec![0.; n * c] };
        let mut counts = vec![0usize; n];
        for part in &parts {
            let (before, now) = (counts[part.n] as f64, part.count as f64);
            counts[part.n] += part.count;
            let total = before + now;
            for k in 0..c {
                let i = part.n * c + k;
                let off = part.one[k] / now;
                let (mean, squares) = (f64::from(part.centre[k]) + off, part.two[k] - off * part.one[k]);
                let apart = mean - moments.mean[i];
                moments.mean[i] += apart * now / total;
                // the sum of squares, until the end
                moments.variance[i] += squares + apart * apart * before * now / total;
            }
        }
        for (i, variance) in moments.variance.iter_mut().enumerate() {
            *variance = (*variance / counts[i / c].max(1) as f64).max(0.);
        }
        moments
    }
}

/// Σ G and Σ G·(x − m) of a gradient G, computed while bands of it are written.
#[derive(Default)]
pub(super) struct Bands(Mutex<Vec<BandSums>>);

/// Instance and first row of a band, with both sums.
type BandSums = (usize, usize, Vec<f64>, Vec<f64>);

impl Bands {
    /// Adds the sums of a band of instance `n` that begins at row `start`.
    pub(super) fn add(&self, n: usize, start: usize, one: Vec<f64>, two: Vec<f64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((n, start, one, two));
    }

    fn in_order(self) -> Vec<BandSums> {
        let mut bands = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        bands.sort_unstable_by_key(|band| (band.0, band.1));
        bands
    }

    /// Σ G of every channel.
    pub(super) fn channels(self, c: usize) -> Vec<f64> {
        let mut sums = vec![0.; c];
        for (_, _, one, _) in self.in_order() {
            sums.iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
        }
        sums
    }

    /// Both sums for every instance and channel.
    pub(super) fn sums(self, n: usize, c: usize) -> Sums {
        let mut sums = Sums::zeros(n * c);
        for (n, _, one, two) in self.in_order() {
            let at = n * c..(n + 1) * c;
            sums.one[at.clone()].iter_mut().zip(one).for_each(|(sum, one)| *sum += one);
            sums.two[at].iter_mut().zip(two).for_each(|(sum, two)| *sum += two);
        }
        sums
    }
}

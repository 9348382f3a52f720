//! Pixelate: a box resize to a smaller image and back; enlarging is nearest neighbour. Fixed-point weights of 22 bits.

use super::apply::{Corruption, Scratch, sized};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;

/// For each output position: the first input position and the weights from there on.
type Axis = Vec<(usize, Vec<i32>)>;

/// The box resize of one axis from `from` to `to` positions.
fn axis(from: usize, to: usize) -> Axis {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = stretch / 2.0;
    let position = |o: usize| {
        let centre = (o as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(from);
        let weight = |j: usize| {
            let at = (j as f64 - centre + 0.5) / stretch;
            if -0.5 < at && at <= 0.5 { 1.0 } else { 0.0 }
        };
        let sum: f64 = (first..last).map(weight).sum();
        let fixed = |j| (weight(j) / sum * f64::from(1 << 22) + 0.5).floor() as i32;
        let mut weights: Vec<i32> = (first..last).map(fixed).collect();
        let skipped = weights.iter().take_while(|&&w| w == 0).count();
        weights.drain(..skipped);
        while weights.last() == Some(&0) {
            weights.pop();
        }
        (first + skipped, weights)
    };
    (0..to).map(position).collect()
}

struct Plan {
    dims: Dims,
    small: Dims,
    rows: Axis,
    columns: Axis,
    /// The row and column of the small image that each output pixel shows.
    up_rows: Vec<usize>,
    up_columns: Vec<usize>,
}

impl Plan {
    fn new(dims: Dims, fraction: f64) -> Self {
        let side = |n: usize| ((n as f64 * fraction) as usize).max(1);
        let small = Dims { height: side(dims.height), width: side(dims.width) };
        let up = |from: usize, to: usize| axis(from, to).iter().map(|(first, _)| (*first).min(from - 1)).collect();
        Self {
            dims,
            small,
            rows: axis(dims.height, small.height),
            columns: axis(dims.width, small.width),
            up_rows: up(small.height, dims.height),
            up_columns: up(small.width, dims.width),
        }
    }
}

/// The pixelation of one severity.
pub struct Pixelate {
    fraction: f64,
    plan: OnceLock<Plan>,
}

#[inline(always)]
fn weighted<'a>(pixels: impl Iterator<Item = &'a [u8; 3]>, weights: &[i32]) -> [u8; 3] {
    let mut sum = [1i32 << 21; 3];
    for (pixel, &weight) in pixels.zip(weights) {
        for c in 0..3 {
            sum[c] += weight * i32::from(pixel[c]);
        }
    }
    sum.map(|s| (s >> 22).clamp(0, 255) as u8)
}

impl Pixelate {
    /// The pixelation at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [fraction] = row(&severity::PIXELATE, variant, severity)?;
        Ok(Self { fraction, plan: OnceLock::new() })
    }
}

impl Corruption for Pixelate {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let fresh;
        // the plan of the first size is kept; other sizes are planned at every call
        let mut plan = self.plan.get_or_init(|| Plan::new(dims, self.fraction));
        if plan.dims != dims {
            fresh = Plan::new(dims, self.fraction);
            plan = &fresh;
        }
        let [across, small, ..] = &mut scratch.u8s;
        let (across, _) = sized(across, 3 * dims.height * plan.small.width).as_chunks_mut::<3>();
        let (small, _) = sized(small, plan.small.bytes()).as_chunks_mut::<3>();
        let narrow = plan.small.width;
        for (row, out) in image.as_chunks::<3>().0.chunks_exact(dims.width).zip(across.chunks_exact_mut(narrow)) {
            for ((first, weights), out) in plan.columns.iter().zip(out) {
                *out = weighted(row[*first..].iter(), weights);
            }
        }
        for ((first, weights), out) in plan.rows.iter().zip(small.chunks_exact_mut(narrow)) {
            for (w, out) in out.iter_mut().enumerate() {
                *out = weighted(across[first * narrow + w..].iter().step_by(narrow), weights);
            }
        }
        for (&h, out) in plan.up_rows.iter().zip(out.as_chunks_mut::<3>().0.chunks_exact_mut(dims.width)) {
            let row = &small[h * narrow..][..narrow];
            for (&w, out) in plan.up_columns.iter().zip(out) {
                *out = row[w];
            }
        }
    }
}

//! Pixelate: a box resize to a smaller image and back; enlarging is nearest neighbour. Fixed-point weights of 22 bits.
//!
//! All values that a box covers have one weight, so a box is a sum in short integers and a product.

use super::apply::{Corruption, Scratch, sized, strips};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use anyhow::Result;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::OnceLock;

/// The box of an output position: the values that it covers, and their weight.
#[derive(Clone)]
struct Cell {
    values: Range<usize>,
    weight: i32,
}

/// The box resize of one axis from `from` to `to` positions.
fn axis(from: usize, to: usize) -> Vec<Cell> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = stretch / 2.0;
    let position = |o: usize| {
        let centre = (o as f64 + 0.5) * scale;
        let first = (centre - support + 0.5).max(0.0) as usize;
        let last = ((centre + support + 0.5) as usize).min(from);
        let covered = |&j: &usize| {
            let at = (j as f64 - centre + 0.5) / stretch;
            -0.5 < at && at <= 0.5
        };
        let start = (first..last).find(covered).unwrap_or(first.min(from - 1));
        let count = (start..last).take_while(covered).count().max(1);
        Cell { values: start..start + count, weight: (f64::from(1 << 22) / count as f64 + 0.5).floor() as i32 }
    };
    (0..to).map(position).collect()
}

struct Plan {
    dims: Dims,
    small: Dims,
    rows: Vec<Cell>,
    /// Of the columns: first positions and numbers of values, and a weight for each value of a row.
    columns: Vec<Range<usize>>,
    weights: Vec<i32>,
    /// The row and column of the small image that each output pixel shows.
    up_rows: Vec<usize>,
    up_columns: Vec<usize>,
}

impl Plan {
    fn new(dims: Dims, fraction: f64) -> Self {
        let side = |n: usize| ((n as f64 * fraction) as usize).max(1);
        let small = Dims { height: side(dims.height), width: side(dims.width) };
        let up = |from: usize, to: usize| axis(from, to).iter().map(|cell| cell.values.start).collect();
        let columns = axis(dims.width, small.width);
        Self {
            dims,
            small,
            rows: axis(dims.height, small.height),
            weights: columns.iter().flat_map(|cell| [cell.weight; 3]).collect(),
            columns: columns.into_iter().map(|cell| cell.values).collect(),
            up_rows: up(small.height, dims.height),
            up_columns: up(small.width, dims.width),
        }
    }
}

/// The three values of a pixel in one number, sixteen bits each, so that pixels are added as numbers.
#[inline(always)]
fn packed(pixel: [u8; 3]) -> u64 {
    u64::from(pixel[0]) | u64::from(pixel[1]) << 16 | u64::from(pixel[2]) << 32
}

/// The pixelation of one severity.
pub(crate) struct Pixelate {
    fraction: f64,
    plan: OnceLock<Plan>,
}

/// The byte of a sum.
#[inline(always)]
fn scaled(sum: u16, weight: i32) -> u8 {
    ((i32::from(sum) * weight + (1 << 21)) >> 22).clamp(0, 255) as u8
}

impl Pixelate {
    /// The pixelation at a severity from 1 to 5; other severities are an error.
    pub(crate) fn new(severity: usize, variant: Variant) -> Result<Self> {
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
        let (wide, narrow) = (3 * dims.width, 3 * plan.small.width);
        let mut planes: [Vec<u8>; 2] = std::array::from_fn(|i| std::mem::take(&mut scratch.u8s[i]));
        let [across, small] = &mut planes;
        let (across, small) = (sized(across, dims.height * narrow), sized(small, plan.small.bytes()));
        strips(narrow, scratch, across, |rows, scratch, across| {
            let (mut before, sums) = (vec![0; dims.width + 1], sized(&mut scratch.i16s[0], narrow));
            vectorised(
                #[inline(always)]
                || {
                    for (h, out) in rows.zip(across.chunks_exact_mut(narrow)) {
                        let row = &image[h * wide..][..wide];
                        // sums of all pixels before one: what they carry from value to value is the same in two of them
                        let mut total = 0u64;
                        for (before, &pixel) in before[1..].iter_mut().zip(row.as_chunks().0) {
                            total = total.wrapping_add(packed(pixel));
                            *before = total;
                        }
                        for (sums, cell) in sums.as_chunks_mut::<3>().0.iter_mut().zip(&plan.columns) {
                            let sum = before[cell.end].wrapping_sub(before[cell.start]);
                            *sums = [sum as i16, (sum >> 16) as i16, (sum >> 32) as i16];
                        }
                        for ((out, &sum), &weight) in out.iter_mut().zip(&*sums).zip(&plan.weights) {
                            *out = scaled(sum as u16, weight);
                        }
                    }
                },
            );
        });
        let across = &*across;
        strips(narrow, scratch, small, |rows, scratch, small| {
            let sums = sized(&mut scratch.i16s[0], narrow);
            vectorised(
                #[inline(always)]
                || {
                    for (cell, out) in plan.rows[rows.clone()].iter().zip(small.chunks_exact_mut(narrow)) {
                        sums.fill(0);
                        for row in cell.values.clone() {
                            let row = &across[row * narrow..][..narrow];
                            sums.iter_mut().zip(row).for_each(|(sum, &v)| *sum = sum.wrapping_add(i16::from(v)));
                        }
                        out.iter_mut().zip(&*sums).for_each(|(out, &sum)| *out = scaled(sum as u16, cell.weight));
                    }
                },
            );
        });
        let small = &*small;
        strips(wide, scratch, out, |rows, _, out| {
            let mut known = None;
            for (i, &row) in plan.up_rows[rows].iter().enumerate() {
                let (done, out) = out.split_at_mut(i * wide);
                let out = &mut out[..wide];
                if known == Some(row) {
                    out.copy_from_slice(&done[(i - 1) * wide..]);
                    continue;
                }
                let pixels = small[row * narrow..][..narrow].as_chunks::<3>().0;
                for (out, &w) in out.as_chunks_mut::<3>().0.iter_mut().zip(&plan.up_columns) {
                    *out = pixels[w];
                }
                known = Some(row);
            }
        });
        planes.into_iter().zip(&mut scratch.u8s).for_each(|(plane, kept)| *kept = plane);
    }
}

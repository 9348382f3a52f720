//! Fog: y = (X + a·A)·m/(m + a), with A a plasma height map by diamond-square and m the largest value of X.

use super::apply::{Corruption, Scratch, sized, strips};
use super::bytes::{UNIT, truncate_unit};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use anyhow::Result;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;

/// Values of a height map that a thread works on at a time.
const PART: usize = 1 << 14;

/// Values that are compared at a time.
const LANES: usize = 32;
/// Draws that are made at a time.
const DRAWS: usize = 256;

/// Fog at one severity.
pub struct Fog {
    amount: f64,
    decay: f64,
    side: usize,
}

/// A height map, normalised to [0, 1] when it is read. Its even rows at even columns are the coarser map of the level before; the points
/// that the last level added lie in planes of their own, so that every level reads and writes whole rows.
pub struct Plasma<'a> {
    /// The side of the map, a power of two.
    side: usize,
    /// Even rows at even columns, odd rows at odd columns, even rows at odd columns, odd rows at even columns.
    planes: [&'a mut [f64]; 4],
    low: f64,
    high: f64,
}

impl<'a> Plasma<'a> {
    /// The map of that side, a power of two from 2 on, in a buffer of side²; amplitudes fall by the factor `decay` from level to level.
    /// `draw(first, values)` writes the draws in [−1, 1) from number `first` on. They are numbered level by level: first for all centres,
    /// then for the points between rows, then between columns, each row-major.
    pub fn new(side: usize, decay: f64, map: &'a mut [f64], draw: impl Fn(usize, &mut [f64]) + Sync) -> Self {
        let quarter = map.len() / 4;
        let (coarse, rest) = map.split_at_mut(quarter);
        let (centres, rest) = rest.split_at_mut(quarter);
        let (between, beside) = rest.split_at_mut(quarter);
        let mut planes = [coarse, centres, between, beside];
        let (mut from, mut first, mut wibble) = (1, 0, 100.0f64);
        if let Some(corner) = planes[0].first_mut() {
            *corner = 0.0;
        }
        // the corner, and what every level adds
        let mut ends = [0.0, 0.0];
        while from < side {
            if from > 1 {
                planes = refined(planes, from / 2);
            }
            ends = widened(ends, level(&mut planes, from, wibble * wibble, first, &draw));
            (first, from) = (first + 3 * from * from, 2 * from);
            wibble /= decay;
        }
        let [low, high] = ends;
        Self { side, planes, low, high: high - low }
    }

    /// Writes the first values of row `h`, normalised.
    pub fn row(&self, h: usize, out: &mut [f64]) {
        let half = self.side / 2;
        let [coarse, centres, between, beside] = self.planes.each_ref().map(|plane| &plane[h / 2 * half..][..half]);
        let (even, odd) = if h.is_multiple_of(2) { (coarse, between) } else { (beside, centres) };
        let (low, high) = (self.low, if self.high > 0.0 { self.high } else { 1.0 });
        vectorised(
            #[inline(always)]
            || {
                let (pairs, last) = out.as_chunks_mut::<2>();
                for ((out, even), odd) in pairs.iter_mut().zip(even).zip(odd) {
                    *out = [(even - low) / high, (odd - low) / high];
                }
                if let ([last], Some(value)) = (last, even.get(pairs.len())) {
                    *last = (value - low) / high;
                }
            },
        );
    }
}

/// The smallest and the largest of two pairs of them.
fn widened(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0].min(b[0]), a[1].max(b[1])]
}

/// The ends of no values.
const NONE: [f64; 2] = [f64::INFINITY, f64::NEG_INFINITY];

/// The smallest and the largest of values, in lanes of their own so that none waits for the one before.
fn ends_of(values: &[f64]) -> [f64; 2] {
    let lanes = vectorised(
        #[inline(always)]
        || {
            let (mut low, mut high) = ([NONE[0]; LANES], [NONE[1]; LANES]);
            let (whole, rest) = values.as_chunks::<LANES>();
            for values in whole {
                for i in 0..LANES {
                    low[i] = if values[i] < low[i] { values[i] } else { low[i] };
                    high[i] = if values[i] > high[i] { values[i] } else { high[i] };
                }
            }
            let mut lanes: [[f64; 2]; LANES] = std::array::from_fn(|i| [low[i], high[i]]);
            rest.iter().zip(&mut lanes).for_each(|(&value, lane)| *lane = widened(*lane, [value; 2]));
            lanes
        },
    );
    lanes.into_iter().fold(NONE, widened)
}

/// Row `y` of a ring of rows of `wide` values.
fn ring(plane: &[f64], wide: usize, y: usize) -> &[f64] {
    &plane[y % wide * wide..][..wide]
}

/// One level: from a map of `from` × `from` points in the first plane the points between them, in the other planes. Gives the smallest and
/// the largest of these.
fn level(
    planes: &mut [&mut [f64]; 4],
    from: usize,
    amplitude: f64,
    first: usize,
    draw: &(impl Fn(usize, &mut [f64]) + Sync),
) -> [f64; 2] {
    let count = from * from;
    let [coarse, centres, between, beside] = planes.each_mut().map(|plane| &mut plane[..count]);
    let coarse = &*coarse;
    let rows = (PART / from).max(1);
    // `mean` makes the values of a row from the draws in it
    let each = |plane: &mut [f64], first: usize, mean: &(dyn Fn(usize, &mut [f64]) + Sync)| {
        let parts = plane.par_chunks_mut(rows * from).enumerate().map(|(part, out)| {
            draw(first + part * rows * from, out);
            out.chunks_exact_mut(from).enumerate().for_each(|(y, out)| mean(part * rows + y, out));
            // while they are in the cache
            ends_of(out)
        });
        parts.reduce(|| NONE, widened)
    };
    let of_centres = each(centres, first, &|y, out| {
        let (here, below) = (ring(coarse, from, y), ring(coarse, from, y + 1));
        each_point(out, |x, next, _, draw| ((here[x] + below[x]) + (here[next] + below[next])) / 4.0 + amplitude * draw);
    });
    let centres = &*centres;
    let of_between = each(between, first + count, &|y, out| {
        let (here, above) = (ring(centres, from, y), ring(centres, from, y + from - 1));
        let coarse = ring(coarse, from, y);
        each_point(out, |x, next, _, draw| ((here[x] + above[x]) + (coarse[x] + coarse[next])) / 4.0 + amplitude * draw);
    });
    let of_beside = each(beside, first + 2 * count, &|y, out| {
        let (here, below) = (ring(coarse, from, y), ring(coarse, from, y + 1));
        let centres = ring(centres, from, y);
        each_point(out, |x, _, last, draw| ((centres[x] + centres[last]) + (here[x] + below[x])) / 4.0 + amplitude * draw);
    });
    widened(of_centres, widened(of_between, of_beside))
}

/// Replaces every draw of a row by `mean(x, next x, last x, draw)`, where the row is a ring.
#[inline(always)]
fn each_point(out: &mut [f64], mean: impl Fn(usize, usize, usize, f64) -> f64) {
    vectorised(
        #[inline(always)]
        || {
            let end = out.len() - 1;
            out[0] = mean(0, usize::from(end > 0), end, out[0]);
            for (x, value) in out.iter_mut().enumerate().take(end).skip(1) {
                *value = mean(x, x + 1, x - 1, *value);
            }
            if end > 0 {
                out[end] = mean(end, 0, end - 1, out[end]);
            }
        },
    );
}

/// The four planes of `half` × `half` points, put together as the first plane of the next level.
fn refined(planes: [&mut [f64]; 4], half: usize) -> [&mut [f64]; 4] {
    let count = half * half;
    let [coarse, centres, between, beside] = planes;
    // the last plane is free beyond what it holds: the coarse points move there, to make room for the fine ones
    let (held, free) = beside.split_at_mut(count);
    free[..count].copy_from_slice(&coarse[..count]);
    let (even, odd) = ([&free[..count], &between[..count]], [&*held, &centres[..count]]);
    coarse[..4 * count].par_chunks_mut(2 * half).with_min_len((PART / (2 * half)).max(1)).enumerate().for_each(|(y, out)| {
        let [even, odd] = (if y.is_multiple_of(2) { even } else { odd }).map(|plane| &plane[y / 2 * half..][..half]);
        for ((out, even), odd) in out.as_chunks_mut::<2>().0.iter_mut().zip(even).zip(odd) {
            *out = [*even, *odd];
        }
    });
    [coarse, centres, between, beside]
}

impl Fog {
    /// The fog at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [amount, decay] = row(&severity::FOG, variant, severity)?;
        let side = match variant {
            Variant::Cifar => 32,
            Variant::Imagenet => 256,
        };
        Ok(Self { amount, decay, side })
    }

    /// Side of the height map for images of size `dims`: the variant's, or the next power of two that covers the image.
    pub fn map_side(&self, dims: Dims) -> usize {
        self.side.max(dims.height.max(dims.width).next_power_of_two())
    }

    /// The height map of [`Plasma::new`].
    pub fn plasma<'a>(&self, side: usize, map: &'a mut [f64], draw: impl Fn(usize, &mut [f64]) + Sync) -> Plasma<'a> {
        Plasma::new(side, self.decay, map, draw)
    }

    /// Calls `emit(h, row)` for some rows of the result in 0..1, before clipping; `most` is the largest byte of the image.
    pub fn float(
        &self,
        (image, most): (&[u8], u8),
        dims: Dims,
        rows: Range<usize>,
        plasma: &Plasma<'_>,
        work: &mut Vec<f64>,
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let (width, most) = (dims.width, UNIT[usize::from(most)]);
        let (heights, y) = sized(work, 4 * width).split_at_mut(width);
        for h in rows {
            plasma.row(h, heights);
            let pixels = image[3 * h * width..].as_chunks::<3>().0;
            vectorised(
                #[inline(always)]
                || {
                    for ((y, x), a) in y.as_chunks_mut::<3>().0.iter_mut().zip(pixels).zip(&*heights) {
                        for c in 0..3 {
                            y[c] = (UNIT[usize::from(x[c])] + self.amount * a) * most / (most + self.amount);
                        }
                    }
                    emit(h, y);
                },
            );
        }
    }
}

/// Draws as `random_range(-1.0..1.0)` gives them, many at a time.
fn symmetric(rng: &mut ChaCha8Rng, values: &mut [f64]) {
    let mut bytes = [0; 8 * DRAWS];
    for values in values.chunks_mut(DRAWS) {
        let bytes = &mut bytes[..8 * values.len()];
        rng.fill_bytes(bytes);
        vectorised(
            #[inline(always)]
            || {
                for (value, bits) in values.iter_mut().zip(bytes.as_chunks().0) {
                    let from_1_to_2 = f64::from_bits(0x3ff << 52 | u64::from_le_bytes(*bits) >> 12);
                    *value = (from_1_to_2 - 1.0) * 2.0 - 1.0;
                }
            },
        );
    }
}

impl Corruption for Fog {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let (side, start) = (self.map_side(dims), rng.get_word_pos());
        let mut map = std::mem::take(&mut scratch.f64s[0]);
        let plasma = self.plasma(side, sized(&mut map, side * side), |first, values| {
            let mut rng = rng.clone();
            rng.set_word_pos(start + 2 * first as u128);
            symmetric(&mut rng, values);
        });
        let most = image.iter().copied().max().unwrap_or(0);
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            let first = rows.start;
            self.float(
                (image, most),
                dims,
                rows,
                &plasma,
                &mut scratch.f64s[0],
                #[inline(always)]
                |h, row| truncate_unit(row, &mut out[(h - first) * row.len()..][..row.len()]),
            );
        });
        scratch.f64s[0] = map;
    }

    fn memory(&self, dims: Dims) -> usize {
        size_of::<f64>() * self.map_side(dims).pow(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn many_draws_at_a_time_are_those_of_single_ones() {
        for count in [1, 255, 256, 700] {
            let (mut one, mut many) = (ChaCha8Rng::seed_from_u64(count), ChaCha8Rng::seed_from_u64(count));
            let mut values = vec![0.0; count as usize];
            symmetric(&mut many, &mut values);
            assert!(values.iter().all(|&value| value == one.random_range(-1.0..1.0)));
        }
    }
}

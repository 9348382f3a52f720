//! Fog: y = (X + a·A)·m/(m + a), with A a plasma height map by diamond-square and m the largest value of X.

use super::apply::{Corruption, Scratch, sized};
use super::bytes::{UNIT, truncate_unit};
use super::dims::Dims;
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Fog at one severity.
pub struct Fog {
    amount: f64,
    decay: f64,
    side: usize,
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

    /// Fills `map` (side × side, side a power of two) with plasma normalised to [0, 1]. `draw` returns U[−1, 1); it is called
    /// level by level: first for all centres, then for the points between rows, then between columns, each row-major.
    pub fn plasma(&self, side: usize, map: &mut [f64], mut draw: impl FnMut() -> f64) {
        map.fill(0.0);
        let (mut step, mut wibble) = (side, 100.0f64);
        while step >= 2 {
            let (half, amplitude) = (step / 2, wibble * wibble);
            let at = |y: usize, x: usize| (y % side) * side + x % side;
            let grid = || (0..side).step_by(step).flat_map(|y| (0..side).step_by(step).map(move |x| (y, x)));
            for (y, x) in grid() {
                let sum = (map[at(y, x)] + map[at(y + step, x)]) + (map[at(y, x + step)] + map[at(y + step, x + step)]);
                map[at(y + half, x + half)] = sum / 4.0 + amplitude * draw();
            }
            for (y, x) in grid() {
                let near = map[at(y + half, x + half)] + map[at(y + side - half, x + half)];
                map[at(y, x + half)] = (near + (map[at(y, x)] + map[at(y, x + step)])) / 4.0 + amplitude * draw();
            }
            for (y, x) in grid() {
                let near = map[at(y + half, x + half)] + map[at(y + half, x + side - half)];
                map[at(y + half, x)] = (near + (map[at(y, x)] + map[at(y + step, x)])) / 4.0 + amplitude * draw();
            }
            step = half;
            wibble /= self.decay;
        }
        let low = map.iter().copied().fold(f64::INFINITY, f64::min);
        map.iter_mut().for_each(|v| *v -= low);
        let high = map.iter().copied().fold(0.0, f64::max);
        if high > 0.0 {
            map.iter_mut().for_each(|v| *v /= high);
        }
    }

    /// Calls `emit(h, row)` for every row of the result in 0..1, before clipping, for a height map of that side; `y` holds a row.
    pub fn float(
        &self,
        image: &[u8],
        dims: Dims,
        (side, map): (usize, &[f64]),
        y: &mut [f64],
        mut emit: impl FnMut(usize, &[f64]),
    ) {
        let most = UNIT[usize::from(image.iter().copied().max().unwrap_or(0))];
        for (h, image) in image.chunks_exact(3 * dims.width).enumerate() {
            let row = &map[h * side..][..dims.width];
            for ((y, x), a) in y.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0).zip(row) {
                for c in 0..3 {
                    y[c] = (UNIT[usize::from(x[c])] + self.amount * a) * most / (most + self.amount);
                }
            }
            emit(h, y);
        }
    }
}

impl Corruption for Fog {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let side = self.map_side(dims);
        let [map, y, ..] = &mut scratch.f64s;
        let (map, y) = (sized(map, side * side), sized(y, 3 * dims.width));
        self.plasma(side, map, || rng.random_range(-1.0..1.0));
        self.float(image, dims, (side, map), y, |h, row| truncate_unit(row, &mut out[3 * h * dims.width..][..row.len()]));
    }

    fn memory(&self, dims: Dims) -> usize {
        size_of::<f64>() * self.map_side(dims).pow(2)
    }
}

//! The transforms of Winograd's F(2×2, 3×3): Y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A, and of its weight gradient Gᵀ[(A y Aᵀ) ⊙ (Bᵀ d B)]G.
//!
//! A plane holds one of the 16 transform positions: (tiles, channels).

#![allow(clippy::needless_range_loop, reason = "columns of a small matrix of vectors, kept in registers")]

use crate::simd::{Kernel, Vector};

/// A tile of 2×2 target positions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tile {
    /// Of its 4×4 source positions the first.
    pub(crate) source: usize,
    /// Of its 2×2 target positions the first.
    pub(crate) target: usize,
    /// Target rows and columns inside the map, 1 or 2 each.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Distances in a map: between the rows and the columns of a tile.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// Sixteen planes: distance between planes, and between tiles.
#[derive(Clone, Copy)]
pub(crate) struct Planes {
    pub(crate) plane: usize,
    pub(crate) tile: usize,
}

impl Planes {
    /// Planes that keep 80 floats apart: strides that are powers of two would collide in the first-level cache.
    pub(crate) fn new(tiles: usize, channels: usize) -> Self {
        Self { plane: tiles * channels + 80, tile: channels }
    }
    pub(crate) fn len(&self) -> usize {
        16 * self.plane
    }
    fn check(&self, len: usize, tiles: usize, channels: usize) {
        assert!(channels <= self.tile && tiles * self.tile <= self.plane && self.len() <= len, "planes");
    }
}

#[inline(always)]
unsafe fn spread<V: Vector>(d: [V; 4]) -> [V; 4] {
    // SAFETY: arithmetic; the caller vouches for the processor, here and below.
    unsafe { [d[0].sub(d[2]), d[1].add(d[2]), d[2].sub(d[1]), d[1].sub(d[3])] }
}

#[inline(always)]
unsafe fn gather<V: Vector>(m: [V; 4]) -> [V; 2] {
    // SAFETY: arithmetic.
    unsafe { [m[0].add(m[1]).add(m[2]), m[1].sub(m[2]).sub(m[3])] }
}

#[inline(always)]
unsafe fn widen<V: Vector>(y: [V; 2]) -> [V; 4] {
    // SAFETY: arithmetic.
    unsafe { [y[0], y[0].add(y[1]), y[0].sub(y[1]), V::splat(0.0).sub(y[1])] }
}

#[inline(always)]
unsafe fn narrow<V: Vector>(u: [V; 4]) -> [V; 3] {
    // SAFETY: arithmetic.
    unsafe {
        let (half, sum, difference) = (V::splat(0.5), u[1].add(u[2]), u[1].sub(u[2]));
        [half.fma(sum, u[0]), half.mul(difference), half.fma(sum, u[3])]
    }
}

/// Bᵀ d B of every tile.
pub(crate) struct Input<'a> {
    pub(crate) map: &'a [f32],
    pub(crate) steps: Steps,
    pub(crate) channels: usize,
    pub(crate) tiles: &'a [Tile],
    pub(crate) planes: Planes,
    pub(crate) out: &'a mut [f32],
}

impl Input<'_> {
    /// With `PAIRS` the planes hold pairs of bf16.
    #[inline(always)]
    unsafe fn transform<V: Vector, const PAIRS: bool>(self) {
        let Self { map, steps, channels, tiles, planes, out } = self;
        let share = if PAIRS { 2 } else { 1 };
        planes.check(out.len(), tiles.len(), channels.next_multiple_of(V::LANES) / share);
        let far = tiles.iter().map(|t| t.source).max().unwrap_or(0) + 3 * (steps.row + steps.column) + channels;
        assert!(tiles.is_empty() || far <= map.len(), "map");
        for (i, tile) in tiles.iter().enumerate() {
            for c in (0..channels).step_by(V::LANES) {
                // SAFETY: `far` bounds every load, partial at the last channels; `check` bounds every store.
                unsafe {
                    let from = map.as_ptr().add(tile.source + c);
                    let mut d = [[V::splat(0.0); 4]; 4];
                    for (r, d) in d.iter_mut().enumerate() {
                        for (q, d) in d.iter_mut().enumerate() {
                            let at = from.add(r * steps.row + q * steps.column);
                            *d = if c + V::LANES <= channels { V::load(at) } else { V::load_part(at, channels - c) };
                        }
                        *d = spread(*d);
                    }
                    let to = out.as_mut_ptr().add(i * planes.tile + c / share);
                    for q in 0..4 {
                        let column = spread([d[0][q], d[1][q], d[2][q], d[3][q]]);
                        for (r, v) in column.into_iter().enumerate() {
                            let to = to.add((4 * r + q) * planes.plane);
                            if PAIRS { v.store_pairs(to) } else { v.store(to) }
                        }
                    }
                }
            }
        }
    }
}

impl Kernel for Input<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe { self.transform::<V, false>() }
    }
}

/// The same, rounded to planes of bf16 pairs.
pub(crate) struct InputPairs<'a>(pub(crate) Input<'a>);

impl Kernel for InputPairs<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        // SAFETY: the caller vouches for the processor.
        unsafe { self.0.transform::<V, true>() }
    }
}

/// Aᵀ m A of every tile, into `channels` channels of the target map from its start on.
pub(crate) struct Output<'a> {
    pub(crate) products: &'a [f32],
    pub(crate) planes: Planes,
    pub(crate) tiles: &'a [Tile],
    pub(crate) channels: usize,
    pub(crate) steps: Steps,
    pub(crate) map: &'a mut [f32],
}

impl Kernel for Output<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { products, planes, tiles, channels, steps, map } = self;
        planes.check(products.len(), tiles.len(), channels.next_multiple_of(V::LANES));
        for (i, tile) in tiles.iter().enumerate() {
            let end = tile.target + (tile.rows - 1) * steps.row + (tile.columns - 1) * steps.column + channels;
            assert!(tile.rows <= 2 && tile.columns <= 2 && end <= map.len(), "map");
            for c in (0..channels).step_by(V::LANES) {
                // SAFETY: `check` bounds every load and the assertion every store, partial at the last channels.
                unsafe {
                    let from = products.as_ptr().add(i * planes.tile + c);
                    let mut half = [[V::splat(0.0); 4]; 2];
                    for q in 0..4 {
                        let m = std::array::from_fn(|r| V::load(from.add((4 * r + q) * planes.plane)));
                        let [top, bottom] = gather(m);
                        half[0][q] = top;
                        half[1][q] = bottom;
                    }
                    let to = map.as_mut_ptr().add(tile.target + c);
                    for (r, half) in half.into_iter().enumerate().take(tile.rows) {
                        for (q, y) in gather(half).into_iter().enumerate().take(tile.columns) {
                            let at = to.add(r * steps.row + q * steps.column);
                            if c + V::LANES <= channels { y.store(at) } else { y.store_part(at, channels - c) }
                        }
                    }
                }
            }
        }
    }
}

/// A y Aᵀ of every tile of an output gradient; positions outside the map are zero.
pub(crate) struct Gradient<'a> {
    pub(crate) map: &'a [f32],
    pub(crate) steps: Steps,
    pub(crate) channels: usize,
    pub(crate) tiles: &'a [Tile],
    pub(crate) planes: Planes,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Gradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { map, steps, channels, tiles, planes, out } = self;
        planes.check(out.len(), tiles.len(), channels.next_multiple_of(V::LANES));
        for (i, tile) in tiles.iter().enumerate() {
            let end = tile.target + (tile.rows - 1) * steps.row + (tile.columns - 1) * steps.column + channels;
            assert!(tile.rows <= 2 && tile.columns <= 2 && end <= map.len(), "map");
            for c in (0..channels).step_by(V::LANES) {
                // SAFETY: the assertion bounds every load, partial at the last channels; `check` bounds every store.
                unsafe {
                    let from = map.as_ptr().add(tile.target + c);
                    let count = V::LANES.min(channels - c);
                    let mut y = [[V::splat(0.0); 2]; 2];
                    for (r, y) in y.iter_mut().enumerate().take(tile.rows) {
                        for (q, y) in y.iter_mut().enumerate().take(tile.columns) {
                            let at = from.add(r * steps.row + q * steps.column);
                            *y = if count == V::LANES { V::load(at) } else { V::load_part(at, count) };
                        }
                    }
                    let (top, bottom) = (widen(y[0]), widen(y[1]));
                    let to = out.as_mut_ptr().add(i * planes.tile + c);
                    for q in 0..4 {
                        for (r, v) in widen([top[q], bottom[q]]).into_iter().enumerate() {
                            v.store(to.add((4 * r + q) * planes.plane));
                        }
                    }
                }
            }
        }
    }
}

/// Gᵀ u G: (16, len) to (9, len); `len` is a multiple of the vector.
pub(crate) struct WeightGradient<'a> {
    pub(crate) sums: &'a [f32],
    /// Distance between the 16 positions.
    pub(crate) plane: usize,
    pub(crate) len: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for WeightGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { sums, plane, len, out } = self;
        assert!(len % V::LANES == 0 && 15 * plane + len <= sums.len() && 9 * len <= out.len(), "weight gradient");
        for at in (0..len).step_by(V::LANES) {
            // SAFETY: the assertion bounds every load and store.
            unsafe {
                let mut half = [[V::splat(0.0); 4]; 3];
                for q in 0..4 {
                    let u = std::array::from_fn(|r| V::load(sums.as_ptr().add((4 * r + q) * plane + at)));
                    for (half, g) in half.iter_mut().zip(narrow(u)) {
                        half[q] = g;
                    }
                }
                for (r, half) in half.into_iter().enumerate() {
                    for (q, g) in narrow(half).into_iter().enumerate() {
                        g.store(out.as_mut_ptr().add((3 * r + q) * len + at));
                    }
                }
            }
        }
    }
}

/// G g Gᵀ of the kernels of `len` pairs of channels: (9, len) to (16, len) at distance `plane`; `len` is a multiple of the vector.
pub(crate) struct Weight<'a> {
    pub(crate) kernels: &'a [f32],
    pub(crate) plane: usize,
    pub(crate) len: usize,
    pub(crate) out: &'a mut [f32],
}

impl Kernel for Weight<'_> {
    #[inline(always)]
    unsafe fn run<V: Vector>(self) {
        let Self { kernels, plane, len, out } = self;
        assert!(len % V::LANES == 0 && 9 * len <= kernels.len() && 15 * plane + len <= out.len(), "weight");
        for at in (0..len).step_by(V::LANES) {
            // SAFETY: the assertion bounds every load and store.
            unsafe {
                let half = V::splat(0.5);
                let mut rows = [[V::splat(0.0); 3]; 4];
                for q in 0..3 {
                    let [a, b, c] = std::array::from_fn(|r| V::load(kernels.as_ptr().add((3 * r + q) * len + at)));
                    let (ends, middle) = (half.mul(a.add(c)), half.mul(b));
                    rows[0][q] = a;
                    rows[1][q] = ends.add(middle);
                    rows[2][q] = ends.sub(middle);
                    rows[3][q] = c;
                }
                for (r, [a, b, c]) in rows.into_iter().enumerate() {
                    let (ends, middle) = (half.mul(a.add(c)), half.mul(b));
                    for (q, v) in [a, ends.add(middle), ends.sub(middle), c].into_iter().enumerate() {
                        v.store(out.as_mut_ptr().add((4 * r + q) * plane + at));
                    }
                }
            }
        }
    }
}

//! Blurs: Gaussian, defocus (disc kernel), frosted glass (local exchange of pixels), motion and zoom.

use super::apply::{CHUNK, Corruption, Scratch, drawn, sized, strips};
use super::bytes::{UNIT_SINGLE, truncate, truncate_unit, unit};
use super::dims::Dims;
use super::filter::{Border, Gauss, Motion, Part, Taps};
use super::severity::{self, Variant, row};
use super::vectorised::vectorised;
use super::zoom::Zoom;
use anyhow::Result;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::sync::OnceLock;

fn part(dims: Dims, rows: Range<usize>) -> Part {
    Part { dims: [dims.height, dims.width, 3], rows }
}

/// Writes a row of an image as values in 0..1.
fn from_bytes(image: &[u8], dims: Dims) -> impl FnMut(usize, &mut [f64]) {
    #[inline(always)]
    move |h, row| unit(&image[3 * h * dims.width..][..row.len()], row)
}

/// Writes a row of values in 0..1 as bytes; `out` begins with row `first`.
fn to_bytes(first: usize, out: &mut [u8]) -> impl FnMut(usize, &[f64]) {
    #[inline(always)]
    move |h, row| truncate_unit(row, &mut out[(h - first) * row.len()..][..row.len()])
}

/// Gaussian blur: y = Gauss(X, σ), border nearest.
pub struct GaussianBlur {
    gauss: Gauss,
}

impl GaussianBlur {
    /// The blur at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [sigma] = row(&severity::GAUSSIAN_BLUR, variant, severity)?;
        Ok(Self { gauss: Gauss::new(sigma, 4.0, Border::Nearest) })
    }

    /// Calls `emit(h, row)` for some rows of the result in 0..1, before clipping; a row is width × 3.
    pub fn float(&self, image: &[u8], dims: Dims, rows: Range<usize>, work: &mut Vec<f64>, emit: impl FnMut(usize, &[f64])) {
        self.gauss.each_row(part(dims, rows), work, from_bytes(image, dims), emit);
    }
}

impl Corruption for GaussianBlur {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            self.float(image, dims, rows.clone(), &mut scratch.f64s[0], to_bytes(rows.start, out));
        });
    }
}

/// Defocus blur: y = Correlate(X, D) with D an anti-aliased disc.
pub struct DefocusBlur {
    /// D, row-major, side 17 (2 R + 1 for R > 8).
    pub kernel: Vec<f32>,
    taps: Taps,
}

impl DefocusBlur {
    /// The blur at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [radius, alias] = row(&severity::DEFOCUS_BLUR, variant, severity)?;
        let (half, taps) = if radius <= 8.0 { (8, 1) } else { (radius as isize, 2) };
        let side = 2 * half as usize + 1;
        let inside = |(y, x): (isize, isize)| if ((x * x + y * y) as f64) <= radius * radius { 1.0f32 } else { 0.0 };
        let disc: Vec<f32> = (-half..=half).flat_map(|y| (-half..=half).map(move |x| (y, x))).map(inside).collect();
        let area: f32 = disc.iter().sum();
        let disc: Vec<f32> = disc.iter().map(|d| d / area).collect();
        let weight = |k: isize| (-((k * k) as f64) / (2.0 * alias * alias)).exp();
        let sum: f64 = (-taps..=taps).map(weight).sum();
        let weight = |k: isize| (weight(k) / sum) as f32;
        // rows, then columns; in f32, centre first, as pairs of symmetric taps
        let smooth = |from: &[f32], dy: isize, dx: isize| -> Vec<f32> {
            let at = |y: isize, x: isize| from[Border::Reflect101.index(y, side) * side + Border::Reflect101.index(x, side)];
            let value = |i: usize| {
                let (y, x) = ((i / side) as isize, (i % side) as isize);
                let pair = |k: isize| (at(y - k * dy, x - k * dx) + at(y + k * dy, x + k * dx)) * weight(k);
                (1..=taps).fold(at(y, x) * weight(0), |sum, k| sum + pair(k))
            };
            (0..side * side).map(value).collect()
        };
        let kernel = smooth(&smooth(&disc, 0, 1), 1, 0);
        Ok(Self { taps: Taps::of_kernel(&kernel, side, Border::Reflect101), kernel })
    }

    /// Calls `emit(h, row)` for some rows of the result in 0..1, before clipping; a row is width × 3.
    pub fn float(&self, image: &[u8], dims: Dims, rows: Range<usize>, work: &mut Vec<f64>, emit: impl FnMut(usize, &[f64])) {
        self.taps.each_row(part(dims, rows), work, from_bytes(image, dims), emit);
    }
}

impl Corruption for DefocusBlur {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            self.float(image, dims, rows.clone(), &mut scratch.f64s[0], to_bytes(rows.start, out));
        });
    }
}

/// Frosted glass: Gaussian blur, several passes in which pixels are copied from near ones, and Gaussian blur again.
pub struct GlassBlur {
    gauss: Gauss,
    reach: usize,
    passes: usize,
}

impl GlassBlur {
    /// The blur at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [sigma, reach, passes] = row(&severity::GLASS_BLUR, variant, severity)?;
        Ok(Self { gauss: Gauss::new(sigma, 4.0, Border::Nearest), reach: reach as usize, passes: passes as usize })
    }

    /// The largest displacement d in pixels and the number of passes.
    pub fn reach_and_passes(&self) -> (usize, usize) {
        (self.reach, self.passes)
    }

    /// Draws (dy, dx) from {−d, …, d − 1} for every pixel of a pass: [h, w, 2].
    pub fn draw(&self, rng: &mut ChaCha8Rng, moves: &mut [i8]) {
        let (range, reach) = (2 * self.reach as u64, self.reach as i32);
        drawn(rng, 1, moves, |rng, _, moves| {
            let mut bits = [0; 4 * CHUNK];
            for moves in moves.chunks_mut(CHUNK) {
                let bits = &mut bits[..4 * moves.len()];
                rng.fill_bytes(bits);
                for (m, &b) in moves.iter_mut().zip(bits.as_chunks::<4>().0) {
                    *m = (((u64::from(u32::from_le_bytes(b)) * range) >> 32) as i32 - reach) as i8;
                }
            }
        });
    }

    /// Blurs `image`, before and after the exchange: calls `emit(h, row)` for some rows of the result in 0..1; a row is width × 3.
    pub fn float(&self, image: &[u8], dims: Dims, rows: Range<usize>, work: &mut Vec<f64>, emit: impl FnMut(usize, &[f64])) {
        self.gauss.each_row(part(dims, rows), work, from_bytes(image, dims), emit);
    }

    /// As [`Self::float`], to bytes, on all threads.
    fn blurred(&self, image: &[u8], dims: Dims, scratch: &mut Scratch, out: &mut [u8]) {
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            self.float(image, dims, rows.clone(), &mut scratch.f64s[0], to_bytes(rows.start, out));
        });
    }

    /// One pass: copies pixels from where `moves` of [`Self::draw`] say.
    pub fn exchange(&self, dims: Dims, moves: &[i8], bytes: &mut [u8]) {
        let (pixels, _) = bytes.as_chunks_mut::<3>();
        for h in (self.reach + 1..=dims.height.saturating_sub(self.reach)).rev() {
            for w in (self.reach + 1..=dims.width.saturating_sub(self.reach)).rev() {
                let at = h * dims.width + w;
                let from = at as isize + isize::from(moves[2 * at]) * dims.width as isize + isize::from(moves[2 * at + 1]);
                pixels[at] = pixels[from as usize];
            }
        }
    }
}

impl Corruption for GlassBlur {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let (mut kept, mut moves) = (std::mem::take(&mut scratch.u8s[0]), std::mem::take(&mut scratch.i8s[0]));
        let (bytes, places) = (sized(&mut kept, dims.bytes()), sized(&mut moves, 2 * dims.pixels()));
        self.blurred(image, dims, scratch, bytes);
        for _ in 0..self.passes {
            self.draw(rng, places);
            self.exchange(dims, places, bytes);
        }
        self.blurred(bytes, dims, scratch, out);
        (scratch.u8s[0], scratch.i8s[0]) = (kept, moves);
    }
}

/// One-sided motion blur in a direction drawn from U[−45°, 45°).
pub struct MotionBlur {
    motion: Motion,
}

impl MotionBlur {
    /// The blur at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [radius, sigma] = row(&severity::MOTION_BLUR, variant, severity)?;
        Ok(Self { motion: Motion::new(radius, sigma) })
    }

    /// Writes the result for the direction `theta`, in degrees, into `out`.
    pub fn blur(&self, image: &[u8], dims: Dims, theta: f64, scratch: &mut Scratch, out: &mut [u8]) {
        let (taps, wide) = (self.motion.taps(theta), 3 * dims.width);
        strips(wide, scratch, out, |rows, scratch, out| {
            let first = rows.start;
            taps.each_row(
                part(dims, rows),
                &mut scratch.f64s[0],
                #[inline(always)]
                |h, row| Motion::scaled(&image[h * wide..], row),
                #[inline(always)]
                |h, sums| Motion::bytes(sums, &mut out[(h - first) * wide..]),
            );
        });
    }
}

impl Corruption for MotionBlur {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let theta = rng.random_range(-45.0..45.0);
        self.blur(image, dims, theta, scratch, out);
    }
}

/// Zoom blur: y = (X + Σ Zoom(X, f)) / (number of factors + 1).
pub struct ZoomBlur {
    factors: Vec<f64>,
    plan: OnceLock<(Dims, Vec<Zoom>)>,
}

impl ZoomBlur {
    /// The blur at a severity from 1 to 5; other severities are an error.
    pub fn new(severity: usize, variant: Variant) -> Result<Self> {
        let [start, stop, step] = row(&severity::ZOOM_BLUR, variant, severity)?;
        let count = ((stop - start) / step).ceil() as usize;
        let delta = (start + step) - start;
        let factors = (0..count).map(|i| start + i as f64 * delta).collect();
        Ok(Self { factors, plan: OnceLock::new() })
    }

    /// The zooms for images of size `dims`, in the order of summation.
    pub fn zooms(&self, dims: Dims) -> Vec<Zoom> {
        self.factors.iter().map(|&factor| Zoom::new(dims.height, dims.width, factor)).collect()
    }

    /// Calls `emit(h, row)` for some rows of the result in 0..255, clipped; a row is width × 3.
    pub fn float(
        &self,
        image: &[u8],
        dims: Dims,
        rows: Range<usize>,
        scratch: &mut Scratch,
        mut emit: impl FnMut(usize, &[f32]),
    ) {
        let mut fresh = Vec::new();
        // the plan of the first size is kept; other sizes are planned at every call
        let (known, plan) = self.plan.get_or_init(|| (dims, self.zooms(dims)));
        let plan = if *known == dims {
            plan
        } else {
            fresh.extend(self.zooms(dims));
            &fresh
        };
        let (width, image, top) = (dims.width, image.as_chunks::<3>().0, rows.start);
        let [x, work, ..] = &mut scratch.f64s;
        let [sum, y, ..] = &mut scratch.f32s;
        let ((work, _), y) = (sized(work, 8 * width).as_chunks_mut::<4>(), sized(y, 3 * width));
        let (sum, _) = sized(sum, 4 * rows.len() * width).as_chunks_mut::<4>();
        // what the rows and all their zooms are made of
        let sources = || plan.iter().map(|zoom| zoom.source(&rows));
        let first = sources().map(|rows| rows.start).min().unwrap_or(top).min(top);
        let last = sources().map(|rows| rows.end).max().unwrap_or(0).max(rows.end);
        let (x, _) = sized(x, 4 * (last - first) * width).as_chunks_mut::<4>();
        for (x, v) in x.iter_mut().zip(&image[first * width..last * width]) {
            *x = [UNIT_SINGLE[usize::from(v[0])], UNIT_SINGLE[usize::from(v[1])], UNIT_SINGLE[usize::from(v[2])], 0.0];
        }
        vectorised(
            #[inline(always)]
            || {
                sum.fill([0.0; 4]);
                let own = &x[(top - first) * width..][..sum.len()];
                for zoom in plan {
                    if zoom.is_identity() {
                        add(sum, own);
                    } else {
                        zoom.each_row(
                            rows.clone(),
                            (first, &*x),
                            work,
                            #[inline(always)]
                            |h, row| add(&mut sum[(h - top) * width..], row),
                        );
                    }
                }
                let count = (self.factors.len() + 1) as f32;
                for (h, (sum, own)) in (top..).zip(sum.chunks_exact(width).zip(own.chunks_exact(width))) {
                    for ((y, s), x) in y.as_chunks_mut::<3>().0.iter_mut().zip(sum).zip(own) {
                        for c in 0..3 {
                            y[c] = ((x[c] as f32 + s[c]) / count).clamp(0.0, 1.0) * 255.0;
                        }
                    }
                    emit(h, y);
                }
            },
        );
    }
}

#[inline(always)]
fn add(sum: &mut [[f32; 4]], row: &[[f64; 4]]) {
    for (s, r) in sum.iter_mut().zip(row) {
        for c in 0..4 {
            s[c] += r[c] as f32;
        }
    }
}

impl Corruption for ZoomBlur {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        strips(3 * dims.width, scratch, out, |rows, scratch, out| {
            let first = rows.start;
            self.float(
                image,
                dims,
                rows,
                scratch,
                #[inline(always)]
                |h, row| truncate(row, &mut out[(h - first) * row.len()..][..row.len()]),
            );
        });
    }
}

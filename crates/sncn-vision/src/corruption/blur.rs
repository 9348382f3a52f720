//! Blurs: Gaussian, defocus (disc kernel), frosted glass (local exchange of pixels), motion and zoom.

use super::apply::{Corruption, Scratch, sized};
use super::bytes::{UNIT, truncate, truncate_unit, unit};
use super::dims::Dims;
use super::filter::{Border, Correlate, Gauss, Motion, Zoom};
use super::severity::{self, Variant, row};
use anyhow::Result;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;

fn rgb(dims: Dims) -> [usize; 3] {
    [dims.height, dims.width, 3]
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

    /// The result in 0..1 before clipping, height × width × 3.
    pub fn float<'a>(&self, image: &[u8], dims: Dims, scratch: &'a mut Scratch) -> &'a [f64] {
        let [x, y, line, ..] = &mut scratch.f64s;
        let (x, y) = (sized(x, dims.bytes()), sized(y, dims.bytes()));
        unit(image, x);
        self.gauss.apply(x, rgb(dims), line, y);
        y
    }
}

impl Corruption for GaussianBlur {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let y = self.float(image, dims, scratch);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || truncate_unit(y, out),
        );
    }
}

/// Defocus blur: y = Correlate(X, D) with D an anti-aliased disc.
pub struct DefocusBlur {
    /// D, row-major, side 17 (2 R + 1 for R > 8).
    pub kernel: Vec<f32>,
    correlate: Correlate,
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
        Ok(Self { correlate: Correlate::new(&kernel, side), kernel })
    }

    /// The result in 0..1 before clipping, height × width × 3.
    pub fn float<'a>(&self, image: &[u8], dims: Dims, scratch: &'a mut Scratch) -> &'a [f64] {
        let [x, y, padded, ..] = &mut scratch.f64s;
        let (x, y) = (sized(x, dims.bytes()), sized(y, dims.bytes()));
        unit(image, x);
        self.correlate.apply(x, rgb(dims), padded, y);
        y
    }
}

impl Corruption for DefocusBlur {
    fn apply(&self, image: &[u8], dims: Dims, _: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let y = self.float(image, dims, scratch);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || truncate_unit(y, out),
        );
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

    /// Draws (dy, dx) from {−d, …, d − 1} for every pass and pixel: [pass, h, w, 2].
    pub fn draw(&self, rng: &mut ChaCha8Rng, bits: &mut [u8], moves: &mut [i32]) {
        rng.fill_bytes(bits);
        let (range, reach) = (2 * self.reach as u64, self.reach as i32);
        for (m, &b) in moves.iter_mut().zip(bits.as_chunks::<4>().0) {
            *m = ((u64::from(u32::from_le_bytes(b)) * range) >> 32) as i32 - reach;
        }
    }

    /// The result in 0..1 for the displacements `moves` of [`Self::draw`], written to `f64s[1]`.
    pub fn float(&self, image: &[u8], dims: Dims, moves: &[i32], f64s: &mut [Vec<f64>; 6], bytes: &mut [u8]) {
        let [x, y, line, ..] = f64s;
        let (x, y) = (sized(x, dims.bytes()), sized(y, dims.bytes()));
        unit(image, x);
        self.gauss.apply(x, rgb(dims), line, y);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || truncate_unit(y, bytes),
        );
        let (pixels, _) = bytes.as_chunks_mut::<3>();
        for moves in moves.chunks_exact(2 * dims.pixels()).take(self.passes) {
            for h in (self.reach + 1..=dims.height.saturating_sub(self.reach)).rev() {
                for w in (self.reach + 1..=dims.width.saturating_sub(self.reach)).rev() {
                    let at = h * dims.width + w;
                    let from = at as isize + moves[2 * at] as isize * dims.width as isize + moves[2 * at + 1] as isize;
                    pixels[at] = pixels[from as usize];
                }
            }
        }
        unit(bytes, x);
        self.gauss.apply(x, rgb(dims), line, y);
    }
}

impl Corruption for GlassBlur {
    fn apply(&self, image: &[u8], dims: Dims, rng: &mut ChaCha8Rng, scratch: &mut Scratch, out: &mut [u8]) {
        let count = 2 * self.passes * dims.pixels();
        let moves = sized(&mut scratch.i32s[0], count);
        self.draw(rng, sized(&mut scratch.u8s[0], 4 * count), moves);
        self.float(image, dims, moves, &mut scratch.f64s, out);
        let y = &scratch.f64s[1][..dims.bytes()];
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || truncate_unit(y, out),
        );
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
        self.motion.apply(image, rgb(dims), theta, &mut scratch.f64s[0], out);
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

    /// The result in 0..255, clipped.
    pub fn float<'a>(&self, image: &[u8], dims: Dims, scratch: &'a mut Scratch) -> &'a [f32] {
        let mut fresh = Vec::new();
        // the plan of the first size is kept; other sizes are planned at every call
        let (known, plan) = self.plan.get_or_init(|| (dims, self.zooms(dims)));
        let plan = if *known == dims {
            plan
        } else {
            fresh.extend(self.zooms(dims));
            &fresh
        };
        let [x, work, ..] = &mut scratch.f64s;
        let [sum, y, ..] = &mut scratch.f32s;
        let (x, work) = (sized(x, 4 * dims.pixels()), sized(work, 8 * dims.width));
        let (sum, y) = (sized(sum, 4 * dims.pixels()), sized(y, dims.bytes()));
        let ((x, _), (work, _), (sum, _)) = (x.as_chunks_mut::<4>(), work.as_chunks_mut::<4>(), sum.as_chunks_mut::<4>());
        for (x, v) in x.iter_mut().zip(image.as_chunks::<3>().0) {
            *x = [v[0], v[1], v[2], 0].map(|v| f64::from(UNIT[usize::from(v)] as f32));
        }
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || {
                sum.fill([0.0; 4]);
                for zoom in plan {
                    if zoom.is_identity() {
                        add(sum, x);
                    } else {
                        zoom.each_row(
                            x,
                            work,
                            #[inline(always)]
                            |h, row| add(&mut sum[h * dims.width..], row),
                        );
                    }
                }
                let count = (self.factors.len() + 1) as f32;
                for ((y, s), x) in y.as_chunks_mut::<3>().0.iter_mut().zip(&*sum).zip(&*x) {
                    for c in 0..3 {
                        y[c] = ((x[c] as f32 + s[c]) / count).clamp(0.0, 1.0) * 255.0;
                    }
                }
            },
        );
        y
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
        let y = self.float(image, dims, scratch);
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || truncate(y, out),
        );
    }
}

//! Affine operations: rotate, shear, translate, with bilinear or nearest sampling; pixels from outside the image are black.
//!
//! A map takes an output pixel (x, y) to its input position, (a (x + ½) + b (y + ½) + c, d (x + ½) + e (y + ½) + f), in double
//! precision. Shears are anchored at the top left corner; a positive translation moves the content left or up.

use crate::corruption::Dims;
use pulp::{Simd, WithSimd};

/// The coefficients a to f.
pub type Map = [f64; 6];

const fn along_x(factor: f64) -> Map {
    [1.0, factor, 0.0, 0.0, 1.0, 0.0]
}

const fn along_y(factor: f64) -> Map {
    [1.0, 0.0, 0.0, factor, 1.0, 0.0]
}

/// The map of a rotation by `degrees`, counter-clockwise positive, about the centre; coefficients are rounded to 15 decimals.
pub fn rotation(degrees: f64, dims: Dims) -> Map {
    let round = |v: f64| (v * 1e15).round() / 1e15;
    let (sin, cos) = (-degrees.rem_euclid(360.0).to_radians()).sin_cos();
    let (a, b, d) = (round(cos), round(sin), round(-sin));
    let (x, y) = (dims.width as f64 / 2.0, dims.height as f64 / 2.0);
    [a, b, a * -x + b * -y + x, d, a, d * -x + a * -y + y]
}

/// Rotates by `degrees`, bilinear.
pub fn rotate(image: &[u8], dims: Dims, degrees: f64, out: &mut [u8]) {
    if degrees.rem_euclid(360.0) == 0.0 {
        return out.copy_from_slice(image);
    }
    bilinear::<true, true>(image, dims, &rotation(degrees, dims), out);
}

/// Shears along x by `factor`, bilinear.
pub fn shear_x(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    bilinear::<true, false>(image, dims, &along_x(factor), out);
}

/// Shears along y by `factor`, bilinear.
pub fn shear_y(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    bilinear::<false, true>(image, dims, &along_y(factor), out);
}

/// Moves the content left by `pixels`, bilinear.
pub fn translate_x(image: &[u8], dims: Dims, pixels: f64, out: &mut [u8]) {
    match whole(pixels) {
        Some(pixels) => translate_whole(image, dims, pixels, 0, out),
        None => bilinear::<true, false>(image, dims, &[1.0, 0.0, pixels, 0.0, 1.0, 0.0], out),
    }
}

/// Moves the content up by `pixels`, bilinear.
pub fn translate_y(image: &[u8], dims: Dims, pixels: f64, out: &mut [u8]) {
    match whole(pixels) {
        Some(pixels) => translate_whole(image, dims, 0, pixels, out),
        None => bilinear::<false, true>(image, dims, &[1.0, 0.0, 0.0, 0.0, 1.0, pixels], out),
    }
}

/// Rotates by `degrees`, nearest pixel.
pub fn rotate_nearest(image: &[u8], dims: Dims, degrees: f64, out: &mut [u8]) {
    nearest(image, dims, &rotation(degrees, dims), out);
}

/// Shears along x by `factor`, nearest pixel.
pub fn shear_x_nearest(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    nearest(image, dims, &along_x(factor), out);
}

/// Shears along y by `factor`, nearest pixel.
pub fn shear_y_nearest(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    nearest(image, dims, &along_y(factor), out);
}

/// Moves the content left by `pixels`, nearest pixel.
pub fn translate_x_nearest(image: &[u8], dims: Dims, pixels: f64, out: &mut [u8]) {
    nearest(image, dims, &[1.0, 0.0, pixels, 0.0, 1.0, 0.0], out);
}

/// Moves the content up by `pixels`, nearest pixel.
pub fn translate_y_nearest(image: &[u8], dims: Dims, pixels: f64, out: &mut [u8]) {
    nearest(image, dims, &[1.0, 0.0, 0.0, 0.0, 1.0, pixels], out);
}

fn whole(pixels: f64) -> Option<i64> {
    (pixels.fract() == 0.0 && pixels.abs() < f64::from(i32::MAX)).then_some(pixels as i64)
}

/// Translates by whole pixels: output(x, y) = image(x + right, y + down).
pub fn translate_whole(image: &[u8], dims: Dims, right: i64, down: i64, out: &mut [u8]) {
    let (width, line) = (dims.width as i64, 3 * dims.width);
    let (from, to) = ((-right).clamp(0, width), (width - right).clamp(0, width));
    let (from, to) = (from as usize, to.max(from) as usize);
    for (y, row) in out.chunks_exact_mut(line.max(1)).enumerate() {
        let source = usize::try_from(y as i64 + down).ok().filter(|&y| y < dims.height);
        let Some(source) = source.filter(|_| from < to) else {
            row.fill(0);
            continue;
        };
        let start = (from as i64 + right) as usize;
        row[..3 * from].fill(0);
        row[3 * from..3 * to].copy_from_slice(&image[source * line..][3 * start..3 * (start + to - from)]);
        row[3 * to..].fill(0);
    }
}

/// Pixels that are sampled together.
const BLOCK: usize = 32;

/// Bilinear sampling at (xs − ½, ys − ½), first along x, then along y, neighbours clamped to the image, truncated.
///
/// `ALONG_X` and `ALONG_Y` say whether input positions lie between columns and between rows; otherwise the weight is exactly
/// 0. All arithmetic is in double precision, in the order of the formula, so bytes do not depend on the vector length.
fn bilinear<const ALONG_X: bool, const ALONG_Y: bool>(image: &[u8], dims: Dims, map: &Map, out: &mut [u8]) {
    let pixels = image.as_chunks::<3>().0;
    for (y, row) in out.as_chunks_mut::<3>().0.chunks_exact_mut(dims.width.max(1)).enumerate() {
        let line = Line { map: *map, middle: y as f64 + 0.5, dims };
        // coordinates are monotonic in x, so the pixels inside are neighbours
        let first = (0..dims.width).find(|&x| line.inside(x)).unwrap_or(dims.width);
        let end = (first..dims.width).rfind(|&x| line.inside(x)).map_or(first, |last| last + 1);
        row[..first].fill([0; 3]);
        row[end..].fill([0; 3]);
        for (block, out) in row[first..end].chunks_mut(BLOCK).enumerate() {
            line.sample::<ALONG_X, ALONG_Y>(pixels, first + block * BLOCK, out);
        }
    }
}

/// One row of output pixels.
struct Line {
    map: Map,
    middle: f64,
    dims: Dims,
}

impl Line {
    #[inline(always)]
    fn source(&self, x: usize) -> (f64, f64) {
        let ([a, b, c, d, e, f], x) = (self.map, x as f64 + 0.5);
        (a * x + b * self.middle + c, d * x + e * self.middle + f)
    }

    #[inline(always)]
    fn inside(&self, x: usize) -> bool {
        let (xs, ys) = self.source(x);
        xs >= 0.0 && xs < self.dims.width as f64 && ys >= 0.0 && ys < self.dims.height as f64
    }

    /// Samples the pixels from column `start` on, at most a block; all of them must lie inside.
    #[inline(always)]
    fn sample<const ALONG_X: bool, const ALONG_Y: bool>(&self, pixels: &[[u8; 3]], start: usize, out: &mut [[u8; 3]]) {
        let mut places = Neighbours::default();
        pulp::Arch::new().dispatch(Locate { line: self, start: start as u32, places: &mut places });
        let [mut near, mut far, mut near_below, mut far_below] = [[[0u8; 3]; BLOCK]; 4];
        let [mut across, mut down] = [[[0f64; 3]; BLOCK]; 2];
        let at = |index: u32| pixels[index as usize];
        for i in 0..out.len().min(BLOCK) {
            near[i] = at(places.near[i]);
            if ALONG_X {
                far[i] = at(places.far[i]);
                across[i] = [places.across[i]; 3];
            }
            if ALONG_Y {
                near_below[i] = at(places.near_below[i]);
                down[i] = [places.down[i]; 3];
            }
            if ALONG_X && ALONG_Y {
                far_below[i] = at(places.far_below[i]);
            }
        }
        let corners = [&near, &far, &near_below, &far_below].map(|corner| corner.as_flattened());
        let weights = [&across, &down].map(|weights| weights.as_flattened());
        let mut values = [0u8; 3 * BLOCK];
        pulp::Arch::new().dispatch(Blend::<ALONG_X, ALONG_Y> { corners, weights, values: &mut values });
        out.copy_from_slice(&values.as_chunks::<3>().0[..out.len()]);
    }
}

/// Indices of the four neighbours of every input position, and the weights of the farther ones.
#[derive(Default)]
struct Neighbours {
    near: [u32; BLOCK],
    far: [u32; BLOCK],
    near_below: [u32; BLOCK],
    far_below: [u32; BLOCK],
    across: [f64; BLOCK],
    down: [f64; BLOCK],
}

/// A whole number from 0 to 2⁵¹ in the low bits; unlike a cast, it exists for vectors of doubles on every machine.
#[inline(always)]
fn whole_bits(v: f64) -> u64 {
    (v + 4_503_599_627_370_496.0).to_bits()
}

struct Locate<'a> {
    line: &'a Line,
    start: u32,
    places: &'a mut Neighbours,
}

impl WithSimd for Locate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { line, start, places } = self;
        let ([a, b, c, d, e, f], middle, first) = (line.map, line.middle, f64::from(start) + 0.5);
        let (width, right, bottom) = (line.dims.width as f64, line.dims.width as f64 - 1.0, line.dims.height as f64 - 1.0);
        for i in 0..BLOCK {
            let x = first + i as u32 as f64;
            let (xs, ys) = (a * x + b * middle + c - 0.5, d * x + e * middle + f - 0.5);
            let (left, top) = (xs.floor(), ys.floor());
            (places.across[i], places.down[i]) = (xs - left, ys - top);
            let [x0, x1] = [left, left + 1.0].map(|x| x.max(0.0).min(right));
            let [y0, y1] = [top, top + 1.0].map(|y| y.max(0.0).min(bottom) * width);
            (places.near[i], places.far[i]) = (whole_bits(y0 + x0) as u32, whole_bits(y0 + x1) as u32);
            (places.near_below[i], places.far_below[i]) = (whole_bits(y1 + x0) as u32, whole_bits(y1 + x1) as u32);
        }
    }
}

struct Blend<'a, const ALONG_X: bool, const ALONG_Y: bool> {
    corners: [&'a [u8]; 4],
    weights: [&'a [f64]; 2],
    values: &'a mut [u8; 3 * BLOCK],
}

impl<const ALONG_X: bool, const ALONG_Y: bool> WithSimd for Blend<'_, ALONG_X, ALONG_Y> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let [near, far, near_below, far_below] = self.corners.map(|corner| &corner[..3 * BLOCK]);
        let [across, down] = self.weights.map(|weights| &weights[..3 * BLOCK]);
        for (i, value) in self.values.iter_mut().enumerate() {
            let mut v = f64::from(near[i]);
            if ALONG_X {
                v += (f64::from(far[i]) - v) * across[i];
            }
            if ALONG_Y {
                let mut below = f64::from(near_below[i]);
                if ALONG_X {
                    below += (f64::from(far_below[i]) - below) * across[i];
                }
                v += (below - v) * down[i];
            }
            *value = whole_bits(v.floor()) as u8;
        }
    }
}

/// Nearest sampling in 16.16 fixed point.
fn nearest(image: &[u8], dims: Dims, map: &Map, out: &mut [u8]) {
    let [a, b, c, d, e, f] = *map;
    let fixed = |v: f64| (65536.0 * v + 0.5).floor() as i64;
    let (start_x, start_y) = (fixed(c + a / 2.0 + b / 2.0), fixed(f + d / 2.0 + e / 2.0));
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    let (width, height, pixels) = (dims.width as i64, dims.height as i64, image.as_chunks::<3>().0);
    for (y, row) in out.as_chunks_mut::<3>().0.chunks_exact_mut(dims.width.max(1)).enumerate() {
        for (x, out) in row.iter_mut().enumerate() {
            let (x, y) = (x as i64, y as i64);
            let (xs, ys) = ((start_x + a * x + b * y) >> 16, (start_y + d * x + e * y) >> 16);
            let inside = (0..width).contains(&xs) && (0..height).contains(&ys);
            *out = if inside { pixels[(ys * width + xs) as usize] } else { [0; 3] };
        }
    }
}

//! Affine operations: rotate, shear, translate, with bilinear or nearest sampling; what lies outside is black.
//!
//! A map takes an OUTPUT pixel (x, y) to its SOURCE, (a (x + ½) + b (y + ½) + c, d (x + ½) + e (y + ½) + f), in double
//! precision. Shears are anchored at the top left corner; a positive translation moves the content left or up.

use crate::corruption::Dims;

/// The coefficients a to f.
pub type Map = [f64; 6];

const fn along_x(factor: f64) -> Map {
    [1.0, factor, 0.0, 0.0, 1.0, 0.0]
}

const fn along_y(factor: f64) -> Map {
    [1.0, 0.0, 0.0, factor, 1.0, 0.0]
}

/// Rotation by `degrees`, counter-clockwise positive, about the centre; coefficients rounded to 15 decimals.
fn turn(degrees: f64, dims: Dims) -> Map {
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
    bilinear::<true, true>(image, dims, &turn(degrees, dims), out);
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
        Some(pixels) => shift(image, dims, pixels, 0, out),
        None => bilinear::<true, false>(image, dims, &[1.0, 0.0, pixels, 0.0, 1.0, 0.0], out),
    }
}

/// Moves the content up by `pixels`, bilinear.
pub fn translate_y(image: &[u8], dims: Dims, pixels: f64, out: &mut [u8]) {
    match whole(pixels) {
        Some(pixels) => shift(image, dims, 0, pixels, out),
        None => bilinear::<false, true>(image, dims, &[1.0, 0.0, 0.0, 0.0, 1.0, pixels], out),
    }
}

/// Rotates by `degrees`, nearest pixel.
pub fn rotate_nearest(image: &[u8], dims: Dims, degrees: f64, out: &mut [u8]) {
    nearest(image, dims, &turn(degrees, dims), out);
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

/// output(x, y) = image(x + right, y + down).
pub fn shift(image: &[u8], dims: Dims, right: i64, down: i64, out: &mut [u8]) {
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

/// The largest integer that is not above `v`, which is small.
#[inline(always)]
fn floor(v: f64) -> (i32, f64) {
    let towards_zero = v as i32;
    let floor = towards_zero - i32::from(v < f64::from(towards_zero));
    (floor, v - f64::from(floor))
}

/// Bilinear sampling at (xs − ½, ys − ½), first along x, then along y, neighbours clamped to the image, truncated.
///
/// `ALONG_X` and `ALONG_Y` say whether sources lie between columns and between rows; where not, the weight is exactly 0.
fn bilinear<const ALONG_X: bool, const ALONG_Y: bool>(image: &[u8], dims: Dims, map: &Map, out: &mut [u8]) {
    let [a, b, c, d, e, f] = *map;
    let (Dims { height, width }, pixels) = (dims, image.as_chunks::<3>().0);
    let (right, bottom) = (width as i32 - 1, height as i32 - 1);
    for (y, row) in out.as_chunks_mut::<3>().0.chunks_exact_mut(width.max(1)).enumerate() {
        let middle = y as f64 + 0.5;
        let source = |x: usize| {
            let x = x as f64 + 0.5;
            (a * x + b * middle + c, d * x + e * middle + f)
        };
        let inside = |&x: &usize| {
            let (xs, ys) = source(x);
            xs >= 0.0 && xs < width as f64 && ys >= 0.0 && ys < height as f64
        };
        // coordinates are monotonic in x, so the pixels inside are neighbours
        let first = (0..width).find(inside).unwrap_or(width);
        let end = (first..width).rfind(inside).map_or(first, |last| last + 1);
        row[..first].fill([0; 3]);
        row[end..].fill([0; 3]);
        for (x, out) in (first..end).zip(&mut row[first..end]) {
            let (xs, ys) = source(x);
            let ((left, dx), (top, dy)) = (floor(xs - 0.5), floor(ys - 0.5));
            let columns = [left.max(0) as usize, (left + 1).min(right) as usize];
            let rows = [top.max(0) as usize * width, (top + 1).min(bottom) as usize * width];
            let between = |row: usize| -> [f64; 3] {
                let near = pixels[row + columns[0]].map(f64::from);
                if !ALONG_X {
                    return near;
                }
                let far = pixels[row + columns[1]].map(f64::from);
                std::array::from_fn(|k| near[k] + (far[k] - near[k]) * dx)
            };
            let upper = between(rows[0]);
            *out = if ALONG_Y {
                let lower = between(rows[1]);
                std::array::from_fn(|k| (upper[k] + (lower[k] - upper[k]) * dy) as u8)
            } else {
                upper.map(|v| v as u8)
            };
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

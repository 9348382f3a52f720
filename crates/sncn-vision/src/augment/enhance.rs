//! Operations that blend an image with a degenerate one: colour, contrast, brightness, sharpness.
//!
//! blend(D, X, f) = D + f·(X − D) in single precision, clamped to 0..255 and truncated: f = 0 gives the degenerate image D,
//! f = 1 the image X itself.

use crate::corruption::Dims;

/// D + f·(X − D) for one byte; the saturating cast clamps and truncates.
#[inline(always)]
fn blend(plain: u8, v: u8, factor: f32) -> u8 {
    (f32::from(plain) + factor * f32::from(i16::from(v) - i16::from(plain))) as u8
}

/// The luma of ITU-R 601-2 in 16-bit fixed point.
#[inline(always)]
fn luma([r, g, b]: [u8; 3]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 32768) >> 16) as u8
}

/// Blends with the greyscale image.
pub fn color(image: &[u8], _: Dims, factor: f64, out: &mut [u8]) {
    for (out, &pixel) in out.as_chunks_mut::<3>().0.iter_mut().zip(image.as_chunks::<3>().0) {
        let grey = luma(pixel);
        *out = pixel.map(|v| blend(grey, v, factor as f32));
    }
}

/// Blends with a constant grey image, the rounded mean luma.
pub fn contrast(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    let sum: u64 = image.as_chunks::<3>().0.iter().map(|&pixel| u64::from(luma(pixel))).sum();
    let mean = (sum as f64 / dims.pixels().max(1) as f64 + 0.5) as u8;
    constant(mean, image, factor, out);
}

/// Blends with black.
pub fn brightness(image: &[u8], _: Dims, factor: f64, out: &mut [u8]) {
    constant(0, image, factor, out);
}

fn constant(plain: u8, image: &[u8], factor: f64, out: &mut [u8]) {
    out.iter_mut().zip(image).for_each(|(out, &v)| *out = blend(plain, v, factor as f32));
}

/// Blends with the image smoothed by (1 1 1; 1 5 1; 1 1 1) / 13, rounded to nearest; border pixels are not smoothed.
pub fn sharpness(image: &[u8], dims: Dims, factor: f64, out: &mut [u8]) {
    let line = 3 * dims.width;
    out.copy_from_slice(image);
    if dims.width < 3 {
        return;
    }
    for y in 1..dims.height.saturating_sub(1) {
        let [above, row, below] = [y - 1, y, y + 1].map(|y| &image[y * line..][..line]);
        let out = &mut out[y * line..][3..line - 3];
        for (i, out) in out.iter_mut().enumerate() {
            let sum = |row: &[u8]| u32::from(row[i]) + u32::from(row[i + 3]) + u32::from(row[i + 6]);
            let v = row[i + 3];
            let total = sum(above) + sum(row) + sum(below) + 4 * u32::from(v);
            *out = blend(((2 * total + 13) / 26) as u8, v, factor as f32);
        }
    }
}

//! Cutout: one square of the image is hidden (DeVries, Taylor 2017, arXiv:1708.04552).

use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// The side of the square in the CIFAR-10 experiments of the paper.
pub const SIZE: usize = 16;

/// The grey that [`cutout_bytes`] fills with.
const GREY: u8 = 127;

/// Rows and columns of the square.
pub type Square = [Range<usize>; 2];

/// Draws a square of side `size` whose centre is uniform over the pixels of the image, clipped at the border.
///
/// The centre (y, x) takes rows y − ⌊size/2⌋ up to, but without, y − ⌊size/2⌋ + size; columns likewise. So between a
/// quarter of the square and the whole of it lies inside.
pub fn draw(size: usize, dims: Dims, rng: &mut ChaCha8Rng) -> Square {
    [dims.height, dims.width].map(|side| {
        let centre = rng.random_range(0..side.max(1));
        let end = (centre + size).saturating_sub(size / 2);
        centre.saturating_sub(size / 2)..end.min(side)
    })
}

/// Sets the square of an already normalised image (height × width × 3) to 0, the middle of the scale.
pub fn hide(image: &mut [f32], dims: Dims, [rows, columns]: Square) {
    let inside = 3 * columns.start..3 * columns.end;
    image.chunks_exact_mut(3 * dims.width.max(1)).take(rows.end).skip(rows.start).for_each(|row| row[inside.clone()].fill(0.0));
}

/// The form of RandAugment: from x − size/2 (at least 0, truncated) over `size`, both ends included, so one pixel more
/// than `size`, filled with grey 127; (x, y) is drawn uniformly over the image.
pub fn cutout_bytes(image: &[u8], dims: Dims, size: f64, (x, y): (f64, f64), out: &mut [u8]) {
    let span = |centre: f64, side: usize| {
        let start = (centre - size / 2.0).max(0.0).trunc();
        let end = (start + size).min(side as f64).trunc();
        start as usize..(end as usize + 1).min(side)
    };
    let (rows, columns) = (span(y, dims.height), span(x, dims.width));
    out.copy_from_slice(image);
    for row in out.chunks_exact_mut(3 * dims.width.max(1)).take(rows.end).skip(rows.start) {
        row[3 * columns.start..3 * columns.end.max(columns.start)].fill(GREY);
    }
}

//! Cutout: sets one square of an image to a constant (DeVries, Taylor 2017, arXiv:1708.04552).

use crate::corruption::Dims;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sncn_core::Seed;
use std::ops::Range;

/// The side of the square in the CIFAR-10 experiments of the paper.
pub(crate) const SIZE: usize = 16;

/// The grey that [`cutout_bytes`] fills with.
const GREY: u8 = 127;

/// Rows and columns of the square.
pub(crate) type Square = [Range<usize>; 2];

/// Draws a square of side `size` with its centre uniform over the pixels of the image, clipped at the border.
///
/// For the centre (y, x) these are the rows from y − ⌊size/2⌋ to y − ⌊size/2⌋ + size (exclusive), and columns likewise, so
/// a quarter of the square or more lies inside the image.
pub fn draw(size: usize, dims: Dims, rng: &mut ChaCha8Rng) -> Square {
    [dims.height, dims.width].map(|side| {
        let centre = rng.random_range(0..side.max(1));
        let end = (centre + size).saturating_sub(size / 2);
        centre.saturating_sub(size / 2)..end.min(side)
    })
}

/// Sets the square of a normalised image (height × width × 3) to 0, the middle of the range.
pub(crate) fn hide(image: &mut [f32], dims: Dims, [rows, columns]: Square) {
    let inside = 3 * columns.start..3 * columns.end;
    image.chunks_exact_mut(3 * dims.width.max(1)).take(rows.end).skip(rows.start).for_each(|row| row[inside.clone()].fill(0.0));
}

/// Fills a square of a normalised image (height × width × 3), drawn as Cutout's, with values that are uniform in the range of each channel.
pub(crate) fn noise(image: &mut [f32], dims: Dims, size: usize, [low, high]: &[[f32; 3]; 2], seed: Seed) {
    let mut rng = seed.rng();
    let [rows, columns] = draw(size, dims, &mut rng);
    let inside = 3 * columns.start..3 * columns.end;
    for row in image.chunks_exact_mut(3 * dims.width.max(1)).take(rows.end).skip(rows.start) {
        for pixel in row[inside.clone()].as_chunks_mut::<3>().0 {
            (0..3).for_each(|c| pixel[c] = low[c] + (high[c] - low[c]) * rng.random::<f32>());
        }
    }
}

/// RandAugment's form on bytes: fills columns x − size/2 (truncated, at least 0) to that plus `size` inclusive, so one pixel
/// more than `size`, and rows likewise, with grey 127; the caller draws (x, y) uniformly over the image.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_uniform_noise_fills_one_square() {
        const DIMS: Dims = Dims { height: 32, width: 32 };
        let (range, mut values) = ([[-1., 0., 2.], [1., 0.5, 4.]], Vec::new());
        for seed in 0..50 {
            let mut image = vec![9.; DIMS.bytes()];
            noise(&mut image, DIMS, 12, &range, Seed::new(seed));
            let [rows, columns] = draw(12, DIMS, &mut Seed::new(seed).rng());
            for (p, pixel) in image.as_chunks::<3>().0.iter().enumerate() {
                let inside = rows.contains(&(p / DIMS.width)) && columns.contains(&(p % DIMS.width));
                assert_eq!(inside, *pixel != [9.; 3]);
                values.extend(inside.then_some(*pixel));
            }
        }
        let n = values.len() as f32;
        for (c, (low, high)) in range[0].into_iter().zip(range[1]).enumerate() {
            assert!(values.iter().all(|pixel| (low..high).contains(&pixel[c])));
            let mean = values.iter().map(|pixel| pixel[c]).sum::<f32>() / n;
            let variance = values.iter().map(|pixel| (pixel[c] - mean).powi(2)).sum::<f32>() / n;
            let width: f32 = high - low;
            // of a uniform distribution
            assert!((mean - (low + high) / 2.).abs() < 0.02 * width && (variance * 12. / width.powi(2) - 1.).abs() < 0.05);
        }
    }
}

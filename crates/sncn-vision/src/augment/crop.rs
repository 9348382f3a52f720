//! Random crop of the padded image and horizontal flip: the augmentation of the CIFAR experiments.

use super::affine::translate_whole;
use crate::corruption::Dims;
use crate::corruption::filter::Border;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;

/// Pixels of padding on each side before the crop.
pub const PADDING: usize = 4;

/// The pixels that an image is padded with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Black.
    #[default]
    Black,
    /// The image, mirrored about its outermost pixels.
    Mirrored,
}

impl Edge {
    pub(crate) fn is_black(&self) -> bool {
        *self == Self::Black
    }
}

/// Pads `image` (height × width × 3) by 4 pixels and writes a random crop of the old size into `out`, mirrored with
/// probability ½. The offset is uniform over {0, …, 8}²; `seed` is the stream of the example.
pub fn crop_and_flip(image: &[u8], dims: Dims, edge: Edge, seed: Seed, out: &mut [u8]) {
    let mut rng = seed.rng();
    let (down, right, flip) = (rng.random_range(0..=2 * PADDING), rng.random_range(0..=2 * PADDING), rng.random_bool(0.5));
    match edge {
        Edge::Black => crop(image, dims.height, dims.width, (down, right), flip, out),
        Edge::Mirrored => crop_mirrored(image, dims, (down, right), flip, out),
    }
}

/// Writes the crop of the zero-padded image at the offset (`down`, `right`) into `out`, mirrored if `flip`.
pub fn crop(image: &[u8], height: usize, width: usize, (down, right): (usize, usize), flip: bool, out: &mut [u8]) {
    let offset = |from: usize| from as i64 - PADDING as i64;
    translate_whole(image, Dims { height, width }, offset(right), offset(down), out);
    if flip {
        out.as_chunks_mut::<3>().0.chunks_exact_mut(width.max(1)).for_each(<[_]>::reverse);
    }
}

/// As [`crop`], but the padding reflects the image about its edge pixels, as in FixMatch (Sohn et al. 2020, arXiv:2001.07685).
pub fn crop_mirrored(image: &[u8], dims: Dims, (down, right): (usize, usize), flip: bool, out: &mut [u8]) {
    let at = |position: usize, offset: usize, side: usize| {
        Border::Reflect101.index((position + offset) as isize - PADDING as isize, side)
    };
    let pixels = image.as_chunks::<3>().0;
    for (y, row) in out.as_chunks_mut::<3>().0.chunks_exact_mut(dims.width.max(1)).enumerate() {
        let source = &pixels[at(y, down, dims.height) * dims.width..][..dims.width];
        row.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = source[at(x, right, dims.width)]);
        if flip {
            row.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_crop_is_the_image_and_a_flip_undoes_itself() {
        let image: Vec<u8> = (0..5 * 7 * 3).map(|i| i as u8).collect();
        let (mut once, mut twice) = (vec![0; image.len()], vec![0; image.len()]);
        crop(&image, 5, 7, (PADDING, PADDING), false, &mut once);
        assert_eq!(once, image);
        crop(&image, 5, 7, (PADDING, PADDING), true, &mut once);
        crop(&once, 5, 7, (PADDING, PADDING), true, &mut twice);
        assert_ne!(once, image);
        assert_eq!(twice, image);
        crop(&image, 5, 7, (0, 0), false, &mut once);
        assert!(once[..4 * 7 * 3].iter().all(|&v| v == 0));
        assert_eq!(once[(4 * 7 + 4) * 3..(4 * 7 + 4) * 3 + 3], image[..3]);
    }
}

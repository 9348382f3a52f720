//! `Source`: where convolutions read from.

/// What a convolution reads: maps (n, h, w, c), row by row. A function of image, row and the w × c values to write is one.
pub trait Source: Sync {
    /// Writes a row of an image.
    fn row(&self, image: usize, row: usize, out: &mut [f32]);

    /// The maps themselves, where every row is a copy: a convolution that needs no zeros around them reads them in place.
    fn plain(&self) -> Option<&[f32]> {
        None
    }
}

impl<F: Fn(usize, usize, &mut [f32]) + Sync> Source for F {
    fn row(&self, image: usize, row: usize, out: &mut [f32]) {
        self(image, row, out);
    }
}

/// Maps that are read as they are.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    maps: &'a [f32],
    h: usize,
    row: usize,
}

impl Source for Plain<'_> {
    fn row(&self, image: usize, row: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.maps[(image * self.h + row) * self.row..][..self.row]);
    }

    fn plain(&self) -> Option<&[f32]> {
        Some(self.maps)
    }
}

/// Returns what a plain convolution reads: `x` (n, h, w, c); `row_len` is w·c.
pub fn copy_rows(x: &[f32], h: usize, row_len: usize) -> Plain<'_> {
    Plain { maps: x, h, row: row_len }
}

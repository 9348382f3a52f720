//! `Dims`: the size of an image.

/// The size of an RGB image stored as height × width × 3 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dims {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Dims {
    /// The size of a square.
    pub const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// The number of pixels: height · width.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// The number of bytes: height · width · 3.
    pub const fn bytes(self) -> usize {
        3 * self.pixels()
    }
}

//! `Dims`: the size of an image.

/// Size of an RGB image stored as height × width × 3 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Dims {
    /// Pixels of one image.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// Bytes of one image.
    pub const fn bytes(self) -> usize {
        3 * self.pixels()
    }
}

//! `Photo`: the pixels of one image, in a buffer that serves image after image.

use crate::corruption::Dims;
use anyhow::{Result, ensure};
use image::RgbImage;

/// An RGB image of any size, height × width × 3 bytes. What reads an image replaces the content, so that one buffer serves for
/// many images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Photo {
    dims: Dims,
    bytes: Vec<u8>,
}

impl Photo {
    /// An image of these bytes.
    ///
    /// # Errors
    /// If there are not height · width · 3 of them.
    pub fn new(dims: Dims, bytes: Vec<u8>) -> Result<Self> {
        ensure!(bytes.len() == dims.bytes(), "{} bytes are no {} × {} × 3 image", bytes.len(), dims.height, dims.width);
        Ok(Self { dims, bytes })
    }

    /// Its size.
    pub fn dims(&self) -> Dims {
        self.dims
    }

    /// Its pixels, row by row.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its pixels, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Makes it an image of that size, and gives the bytes to write; what was there is replaced.
    pub fn reset(&mut self, dims: Dims) -> &mut [u8] {
        self.dims = dims;
        self.bytes.resize(dims.bytes(), 0);
        &mut self.bytes
    }

    /// Its bytes alone.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl From<RgbImage> for Photo {
    fn from(image: RgbImage) -> Self {
        let dims = Dims { height: image.height() as usize, width: image.width() as usize };
        Self { dims, bytes: image.into_raw() }
    }
}

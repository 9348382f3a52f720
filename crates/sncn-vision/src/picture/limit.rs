//! `Limit`: the largest images that are read. A file of a few bytes may claim any size; the limit is held against its header, before
//! memory is taken for its pixels.

use anyhow::{Result, ensure};
use image::Limits;

/// The largest images that are read, by their pixels.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Limit {
    /// Images of more pixels are refused.
    #[arg(long = "max-pixels", value_name = "PIXELS", default_value_t = Limit::default().pixels)]
    pixels: u64,
}

impl Default for Limit {
    /// 100 million pixels: what cameras make, and memory for it is 300 MB.
    fn default() -> Self {
        Self { pixels: 100_000_000 }
    }
}

impl Limit {
    /// At most so many pixels.
    pub fn of_pixels(pixels: u64) -> Self {
        Self { pixels }
    }

    /// The memory that a decoder may take before the size of an image is known.
    pub(crate) fn memory(self) -> Limits {
        memory(self.pixels)
    }

    /// The memory that a decoder may take for an image of that size. Parts of a file may claim to be larger than their image: a frame of
    /// an animation, a strip.
    pub(crate) fn memory_of(width: u32, height: u32) -> Limits {
        memory(u64::from(width) * u64::from(height))
    }

    /// Checks the size that an image claims.
    ///
    /// # Errors
    /// If it has more pixels; the error says how to read it all the same.
    pub(crate) fn check(self, width: u32, height: u32) -> Result<()> {
        let pixels = u64::from(width) * u64::from(height);
        ensure!(
            pixels <= self.pixels,
            "{width} × {height} are {pixels} pixels, and at most {} are read: make the image smaller (predict and corrupt take a larger \
             --max-pixels)",
            self.pixels
        );
        Ok(())
    }
}

/// Twice the bytes of pixels of four floats, and what profiles and tables take.
fn memory(pixels: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(pixels.saturating_mul(32).saturating_add(64 << 20));
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_one_of_pixels_and_the_error_names_the_option() {
        let limit = Limit::of_pixels(2_000_000);
        assert!(limit.check(2000, 1000).is_ok() && limit.check(0, u32::MAX).is_ok());
        let error = limit.check(u32::MAX, u32::MAX).unwrap_err().to_string();
        assert!(error.contains("at most 2000000 are") && error.contains("--max-pixels"), "{error}");
        assert!(limit.check(2001, 1000).unwrap_err().to_string().contains("2001 × 1000 are 2001000 pixels"));
    }
}

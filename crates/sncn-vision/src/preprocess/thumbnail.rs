//! Small pictures for pages.

use super::resample::{Interpolation, resample};
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Result};
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// An image as a PNG file whose longer side has so many pixels.
///
/// # Errors
/// If the image has no pixels.
pub(crate) fn thumbnail(photo: &Photo, longest: usize) -> Result<Vec<u8>> {
    let from = photo.dims();
    let longer = from.height.max(from.width).max(1);
    let side = |side: usize| (side * longest / longer).max(1);
    let (to, mut shown) = (Dims { height: side(from.height), width: side(from.width) }, Photo::default());
    let by = if longer < longest { Interpolation::Nearest } else { Interpolation::Bilinear };
    resample(photo.bytes(), from, by, &mut shown, to)?;
    let image = RgbImage::from_raw(to.width as u32, to.height as u32, shown.into_bytes()).context("image size")?;
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

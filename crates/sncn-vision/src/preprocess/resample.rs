//! Resizing, filtered as Pillow does: the filter is as wide as a pixel of the result, so that nothing is skipped.

use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Result, ensure};
use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// A triangle of a pixel to each side.
    Bilinear,
    /// The cubic of Catmull and Rom (a = −½), two pixels to each side.
    Bicubic,
    /// Lanczos's window, three pixels to each side.
    Lanczos,
}

impl Interpolation {
    fn algorithm(self) -> ResizeAlg {
        match self {
            Self::Nearest => ResizeAlg::Nearest,
            Self::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Self::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
            Self::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        }
    }
}

thread_local! {
    static RESIZER: RefCell<Resizer> = RefCell::new(Resizer::new());
}

/// Rows and columns of an image, the first of each inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) dims: Dims,
}

/// Resizes an image (height × width × 3 bytes) to the size `to`.
///
/// # Errors
/// If there are fewer bytes than `from` says, or the image has no pixels.
pub fn resample(bytes: &[u8], from: Dims, interpolation: Interpolation, out: &mut Photo, to: Dims) -> Result<()> {
    let source = view(bytes, from)?;
    resize(&source, interpolation, out, to)
}

/// Cuts a part out of an image and resizes it; what lies outside the part has no influence.
pub(super) fn resample_part(bytes: &[u8], from: Dims, part: Part, by: Interpolation, out: &mut Photo, to: Dims) -> Result<()> {
    let source = view(bytes, from)?;
    let Part { top, left, dims } = part;
    let part = TypedCroppedImage::from_ref(&source, left as u32, top as u32, dims.width as u32, dims.height as u32);
    resize(&part.context("a part outside the image")?, by, out, to)
}

fn view(bytes: &[u8], dims: Dims) -> Result<TypedImageRef<'_, U8x3>> {
    ensure!(dims.pixels() > 0, "an image of {} × {} pixels", dims.height, dims.width);
    TypedImageRef::from_buffer(dims.width as u32, dims.height as u32, bytes)
        .with_context(|| format!("{} bytes are no {} × {} × 3 image", bytes.len(), dims.height, dims.width))
}

fn resize(source: &impl ImageView<Pixel = U8x3>, by: Interpolation, out: &mut Photo, to: Dims) -> Result<()> {
    let mut target = TypedImage::<U8x3>::from_buffer(to.width as u32, to.height as u32, out.reset(to)).context("no target")?;
    let options = ResizeOptions::new().resize_alg(by.algorithm()).use_alpha(false);
    RESIZER.with_borrow_mut(|resizer| resizer.resize_typed(source, &mut target, &options)).context("the image cannot be resized")
}

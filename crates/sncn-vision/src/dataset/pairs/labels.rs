//! Label files: images whose values (grey values or palette indices) or whose colours stand for classes.
//!
//! PNG, and other formats that keep values: BMP, TIFF, GIF, PNM and lossless WebP, whose palettes are read as the colours they show.
//! An image of three equal channels is one of grey values where the classes have no colours. Where a file has an alpha channel,
//! transparent pixels are void.

use super::legend::Legend;
use crate::picture::{self, Limit, Stored};
use anyhow::{Context, Result, bail, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageFormat};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use sncn_train::data::VOID;
use std::io::Cursor;

/// The most bytes that the decoder of PNG takes for all but the values.
const LIMIT: usize = 1 << 28;

/// The classes of an image's pixels, as their file stores them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Rows.
    pub(crate) height: usize,
    /// Columns.
    pub(crate) width: usize,
    /// The class of every pixel, row by row; 255 is void.
    pub(crate) classes: Vec<u8>,
    /// How the file says that they are to be turned, if it does.
    pub(crate) orientation: Orientation,
}

impl Labels {
    /// Decodes a label file from its bytes.
    ///
    /// # Errors
    /// As [`decode`].
    pub(crate) fn stored(bytes: &[u8], legend: &Legend) -> Result<Self> {
        let (samples, orientation) = match picture::format(bytes).context("cannot be decoded; label files are PNG")? {
            ImageFormat::Png => Samples::of_png(bytes)?,
            format => Samples::of_image(bytes, format)?,
        };
        let (height, width) = (samples.height, samples.width);
        Ok(Self { height, width, classes: samples.classes(legend)?, orientation })
    }

    /// The same, turned.
    pub(crate) fn turned(self, orientation: Orientation) -> Result<Self> {
        let size = |side: usize| u32::try_from(side).context("a side of more than 2³² pixels");
        let image =
            GrayImage::from_raw(size(self.width)?, size(self.height)?, self.classes).context("labels of another length")?;
        let mut image = DynamicImage::ImageLuma8(image);
        image.apply_orientation(orientation);
        let (height, width) = (image.height() as usize, image.width() as usize);
        Ok(Self { height, width, classes: image.into_luma8().into_raw(), orientation: Orientation::NoTransforms })
    }
}

/// Decodes a label file from its bytes: height, width and the class of every pixel, row by row; 255 is void.
///
/// # Errors
/// If the file is no image, or of a format that changes values, if it uses colours and the legend has none, or if a value or colour is
/// not a class; the error names the pixel and the accepted values.
pub fn decode(bytes: &[u8], legend: &Legend) -> Result<(usize, usize, Vec<u8>)> {
    let labels = Labels::stored(bytes, legend)?;
    let orientation = labels.orientation;
    let labels = labels.turned(orientation)?;
    Ok((labels.height, labels.width, labels.classes))
}

/// The values of an image's pixels, of 1 (grey), 2 (grey, alpha), 3 (colour) or 4 channels.
struct Samples {
    height: usize,
    width: usize,
    channels: usize,
    /// The value of an opaque alpha channel.
    opaque: u16,
    values: Values,
}

/// Values in the bytes that a decoder gives, so that they need no other memory.
enum Values {
    /// Rows of values of 1 to 8 bits, the first in the highest bits, with the bytes of a row.
    Packed { bits: usize, row: usize, bytes: Vec<u8> },
    /// Values of 16 bits, big-endian.
    Wide(Vec<u8>),
}

impl Values {
    /// Value `x` of row `y`, of `count` in a row.
    #[inline(always)]
    fn at(&self, (x, y): (usize, usize), count: usize) -> u16 {
        match self {
            Self::Packed { bits: 8, row, bytes } => u16::from(bytes[y * row + x]),
            Self::Packed { bits, row, bytes } => {
                let (each, mask) = (8 / bits, (1u16 << bits) - 1);
                u16::from(bytes[y * row + x / each]) >> (bits * (each - 1 - x % each)) & mask
            }
            Self::Wide(bytes) => {
                let at = 2 * (y * count + x);
                u16::from_be_bytes([bytes[at], bytes[at + 1]])
            }
        }
    }
}

impl Samples {
    /// Of a PNG: palette indices are taken as they are.
    fn of_png(bytes: &[u8]) -> Result<(Self, Orientation)> {
        let damaged = |error: png::DecodingError| picture::once(error).context("cannot be decoded as a PNG");
        let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: LIMIT });
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(damaged)?;
        Limit::default().check(reader.info().width, reader.info().height)?;
        let (colour, depth) = reader.output_color_type();
        let (width, height) = (reader.info().width as usize, reader.info().height as usize);
        let orientation = picture::png_orientation(bytes);
        let mut data = vec![0; reader.output_buffer_size().context("more bytes than memory has")?];
        let info = reader.next_frame(&mut data).map_err(damaged)?;
        let channels = match colour {
            ColorType::Grayscale | ColorType::Indexed => 1,
            ColorType::GrayscaleAlpha => 2,
            ColorType::Rgb => 3,
            ColorType::Rgba => 4,
        };
        let (opaque, values) = match depth {
            BitDepth::Sixteen => (u16::MAX, Values::Wide(data)),
            depth => (255, Values::Packed { bits: depth as usize, row: info.line_size, bytes: data }),
        };
        Ok((Self { height, width, channels, opaque, values }, orientation))
    }

    /// Of another format without loss.
    fn of_image(bytes: &[u8], format: ImageFormat) -> Result<(Self, Orientation)> {
        let lossy = match format {
            ImageFormat::Jpeg => Some("JPEG"),
            ImageFormat::WebP if !is_lossless_webp(bytes) => Some("WebP with loss"),
            _ => None,
        };
        if let Some(format) = lossy {
            bail!("is {format}, which changes values, so that pixels would get other classes: write labels as PNG")
        }
        let Stored { image, orientation } =
            Stored::decode(bytes, Limit::default()).context("cannot be decoded; label files are PNG")?;
        let (height, width) = (image.height() as usize, image.width() as usize);
        let wide = |values: Vec<u16>| Values::Wide(values.into_iter().flat_map(u16::to_be_bytes).collect());
        let (channels, opaque, values) = match image {
            DynamicImage::ImageLuma16(image) => (1, u16::MAX, wide(image.into_raw())),
            DynamicImage::ImageLumaA16(image) => (2, u16::MAX, wide(image.into_raw())),
            DynamicImage::ImageRgb16(image) => (3, u16::MAX, wide(image.into_raw())),
            DynamicImage::ImageRgba16(image) => (4, u16::MAX, wide(image.into_raw())),
            DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_) => {
                bail!("has floating-point values; label files have whole numbers: write them as PNG")
            }
            image => {
                let channels = usize::from(image.color().channel_count());
                let bytes = image.into_bytes();
                (channels, 255, Values::Packed { bits: 8, row: channels * width, bytes })
            }
        };
        Ok((Self { height, width, channels, opaque, values }, orientation))
    }

    /// The class of every pixel.
    fn classes(&self, legend: &Legend) -> Result<Vec<u8>> {
        let (alpha, colours) = (self.channels.is_multiple_of(2), self.channels >= 3);
        let mut classes = Vec::with_capacity(self.height * self.width);
        for y in 0..self.height {
            for x in 0..self.width {
                let value = |channel: usize| self.values.at((self.channels * x + channel, y), self.channels * self.width);
                let at = || format!("row {y}, column {x}");
                if alpha && value(self.channels - 1) != self.opaque {
                    ensure!(
                        value(self.channels - 1) == 0,
                        "the pixel at {} is half transparent; labels are opaque, or transparent for void",
                        at()
                    );
                    classes.push(VOID as u8);
                    continue;
                }
                let class = match (colours, legend.is_coloured()) {
                    (true, true) => {
                        let colour = [0, 1, 2].map(value);
                        let bytes = colour.map(|value| u8::try_from(value).ok());
                        let [Some(red), Some(green), Some(blue)] = bytes else {
                            bail!("has colours of 16 bits ({colour:?} at {}); those of the class list have 8", at())
                        };
                        let class = legend.class_of_colour([red, green, blue]);
                        class.with_context(|| format!("colour {colour:?} at {} is not the colour of a class", at()))?
                    }
                    (colours, _) => {
                        ensure!(
                            !colours || (value(0) == value(1) && value(1) == value(2)),
                            "is coded by colours ({:?} at {}), but the classes have none: give every line of the class list a colour \
                             (name r g b), or convert the labels to class indices",
                            [0, 1, 2].map(value),
                            at()
                        );
                        let class = legend.class_of(value(0));
                        class.with_context(|| format!("value {} at {} is not a class; {}", value(0), at(), legend.accepted()))?
                    }
                };
                classes.push(class);
            }
        }
        Ok(classes)
    }
}

/// Whether a WebP file stores its pixels without loss: in a chunk VP8L.
fn is_lossless_webp(bytes: &[u8]) -> bool {
    let mut at = 12;
    while let Some(chunk) = bytes.get(at..at + 8) {
        match &chunk[..4] {
            b"VP8L" => return true,
            b"VP8 " | b"ANMF" => return false,
            _ => {}
        }
        let length = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]) as usize;
        at = at.saturating_add(8).saturating_add(length.next_multiple_of(2));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, ImageBuffer, Luma, Rgb, RgbImage};
    use png::Encoder;

    fn file(colour: ColorType, depth: BitDepth, palette: Option<&[u8]>, width: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width, 2);
        encoder.set_color(colour);
        encoder.set_depth(depth);
        if let Some(palette) = palette {
            encoder.set_palette(palette.to_vec());
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    fn refused(bytes: &[u8], legend: &Legend, words: &[&str]) {
        let error = format!("{:#}", decode(bytes, legend).unwrap_err());
        words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in {error}"));
    }

    fn written(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn indices_palettes_and_colours_are_read_and_all_else_is_refused() -> Result<()> {
        let plain = Legend::parse("sky\nroad\ncar\n")?;
        let coloured = Legend::parse("sky 0 0 9\nroad 9 9 9\n")?;
        let grey = file(ColorType::Grayscale, BitDepth::Eight, None, 3, &[0, 1, 2, 255, 1, 0]);
        assert_eq!(decode(&grey, &plain)?, (2, 3, vec![0, 1, 2, 255, 1, 0]));
        // indices are taken as they are, whatever colours the palette shows
        let palette = file(ColorType::Indexed, BitDepth::Two, Some(&[7; 12]), 3, &[0b0001_1000, 0b0100_0000]);
        assert_eq!(decode(&palette, &plain)?, (2, 3, vec![0, 1, 2, 1, 0, 0]));
        let rgb = file(ColorType::Rgb, BitDepth::Eight, None, 1, &[9, 9, 9, 0, 0, 0]);
        assert_eq!(decode(&rgb, &coloured)?, (2, 1, vec![1, 255]));
        let other = file(ColorType::Rgb, BitDepth::Eight, None, 1, &[1, 1, 1, 1, 2, 3]);
        refused(&other, &plain, &["coded by colours", "[1, 2, 3] at row 1, column 0", "name r g b"]);
        let other = file(ColorType::Rgb, BitDepth::Eight, None, 1, &[9, 9, 9, 1, 2, 3]);
        refused(&other, &coloured, &["[1, 2, 3]", "row 1, column 0"]);
        refused(&file(ColorType::Grayscale, BitDepth::Eight, None, 1, &[0, 7]), &plain, &["value 7", "row 1", "0 to 2"]);
        refused(&grey[..grey.len() - 20], &plain, &["PNG"]);
        refused(b"no picture", &plain, &["PNG"]);
        Ok(())
    }

    #[test]
    fn small_values_in_wide_files_and_equal_channels_are_indices() -> Result<()> {
        let plain = Legend::parse("sky\nroad\ncar\n")?;
        // 16 bits: 255 and −1 are void
        let wide = file(ColorType::Grayscale, BitDepth::Sixteen, None, 2, &[0, 2, 0, 1, 0xFF, 0xFF, 0, 0xFF]);
        assert_eq!(decode(&wide, &plain)?, (2, 2, vec![2, 1, 255, 255]));
        let wide = file(ColorType::Grayscale, BitDepth::Sixteen, None, 1, &[0, 1, 1, 1]);
        refused(&wide, &plain, &["value 257", "row 1", "0 to 2 and 255"]);
        let equal = file(ColorType::Rgb, BitDepth::Eight, None, 1, &[2, 2, 2, 255, 255, 255]);
        assert_eq!(decode(&equal, &plain)?.2, [2, 255]);
        // what is transparent has no label
        let alpha = file(ColorType::GrayscaleAlpha, BitDepth::Eight, None, 1, &[2, 255, 1, 0]);
        assert_eq!(decode(&alpha, &plain)?.2, [2, 255]);
        let alpha = file(ColorType::Rgba, BitDepth::Eight, None, 1, &[1, 1, 1, 255, 1, 1, 1, 0]);
        assert_eq!(decode(&alpha, &plain)?.2, [1, 255]);
        let half = file(ColorType::GrayscaleAlpha, BitDepth::Eight, None, 1, &[2, 255, 1, 99]);
        refused(&half, &plain, &["half transparent", "row 1, column 0"]);
        Ok(())
    }

    #[test]
    fn other_formats_are_read_where_they_keep_values() -> Result<()> {
        let plain = Legend::parse("sky\nroad\ncar\n")?;
        let grey = GrayImage::from_fn(3, 2, |x, y| Luma([if y == 0 { x as u8 } else { 255 }]));
        let want = (2, 3, vec![0, 1, 2, 255, 255, 255]);
        for format in [ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::Pnm] {
            assert_eq!(decode(&written(grey.clone(), format), &plain)?, want, "{format:?}");
        }
        let rgb = RgbImage::from_fn(3, 2, |x, y| Rgb(grey.get_pixel(x, y).0.repeat(3).try_into().unwrap_or_default()));
        for format in [ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
            assert_eq!(decode(&written(rgb.clone(), format), &plain)?, want, "{format:?}");
        }
        let wide = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(3, 2, |x, y| Luma([if y == 0 { x as u16 } else { u16::MAX }]));
        assert_eq!(decode(&written(wide, ImageFormat::Tiff), &plain)?, want);
        let alpha = GrayAlphaImage::from_fn(3, 2, |x, y| image::LumaA([x as u8, if y == 0 { 255 } else { 0 }]));
        assert_eq!(decode(&written(alpha, ImageFormat::Png), &plain)?, want);
        refused(&written(grey, ImageFormat::Jpeg), &plain, &["is JPEG", "write labels as PNG"]);
        refused(b"RIFF\x20\0\0\0WEBPVP8 \x10\0\0\0................", &plain, &["WebP with loss", "PNG"]);
        refused(&written(DynamicImage::new_rgb32f(2, 2), ImageFormat::Tiff), &plain, &["floating-point"]);
        Ok(())
    }

    #[test]
    fn a_file_that_claims_to_be_large_is_refused_before_memory_is_taken() -> Result<()> {
        let plain = Legend::parse("sky\n")?;
        let mut bytes = file(ColorType::Grayscale, BitDepth::Eight, None, 1, &[0, 0]);
        bytes[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
        let check = crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&check.to_be_bytes());
        refused(&bytes, &plain, &["60000 × 60000", "3600000000 pixels"]);
        Ok(())
    }

    /// The checksum of a chunk (ISO 3309).
    fn crc(bytes: &[u8]) -> u32 {
        let step = |sum: u32, &byte: &u8| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
        };
        !bytes.iter().fold(u32::MAX, step)
    }
}

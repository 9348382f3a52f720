//! `open`: the one place where image files are read. The format is that of the content, whatever the file is named; the orientation
//! that a camera noted (EXIF) is applied; a file that is cut short is refused.

use super::limit::Limit;
use anyhow::{Context, Result, anyhow, bail, ensure};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

/// Endings of the names of image files, in lower case; in a folder only these are looked at.
pub(crate) const ENDINGS: [&str; 11] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "gif", "ppm", "pgm", "pnm"];

/// Bytes of a file that tell its format.
const FIRST: u64 = 512;

/// An image as its file stores it.
pub(crate) struct Stored {
    /// The pixels, not yet turned.
    pub(crate) image: DynamicImage,
    /// How they are to be turned, as a camera noted it.
    pub(crate) orientation: Orientation,
}

impl Stored {
    /// Decodes the bytes of an image file.
    ///
    /// # Errors
    /// If the file is empty, of no known format, larger than the limit or cut short.
    pub(crate) fn decode(bytes: &[u8], limit: Limit) -> Result<Self> {
        let format = format(bytes)?;
        let whole = match format {
            // a decoder of JPEG fills what is missing with grey
            ImageFormat::Jpeg => is_whole_jpeg(bytes),
            ImageFormat::WebP => is_whole_riff(bytes),
            _ => true,
        };
        ensure!(whole, "the file is cut short");
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        reader.limits(limit.memory());
        let mut decoder = reader.into_decoder().map_err(once)?;
        let (width, height) = decoder.dimensions();
        limit.check(width, height)?;
        decoder.set_limits(Limit::memory_of(width, height)).map_err(once)?;
        let orientation = orientation(bytes, format, &mut decoder);
        Ok(Self { image: DynamicImage::from_decoder(decoder).map_err(once)?, orientation })
    }

    /// Reads and decodes an image file.
    ///
    /// # Errors
    /// As [`Stored::decode`], or if there is no such file; the error names the file.
    pub(crate) fn open(path: &Path, limit: Limit) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
        Self::decode(&bytes, limit).with_context(|| format!("{}: cannot be decoded as an image", path.display()))
    }

    /// The image, turned as it is to be seen.
    pub(crate) fn turned(mut self) -> DynamicImage {
        self.image.apply_orientation(self.orientation);
        self.image
    }
}

/// How an image is to be turned; a note that cannot be read is none.
fn orientation(bytes: &[u8], format: ImageFormat, decoder: &mut impl ImageDecoder) -> Orientation {
    match format {
        ImageFormat::Png => png_orientation(bytes),
        _ => decoder.orientation().unwrap_or(Orientation::NoTransforms),
    }
}

/// Rows and columns of an image file as it is to be seen; its pixels are not decoded.
///
/// # Errors
/// If the file is not readable, of no known format, or larger than the limit; the error names the file.
pub(crate) fn size(path: &Path, limit: Limit) -> Result<(usize, usize)> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
    let read = || -> Result<(usize, usize)> {
        let format = format(&bytes)?;
        let mut reader = ImageReader::with_format(Cursor::new(&bytes), format);
        reader.limits(limit.memory());
        let mut decoder = reader.into_decoder().map_err(once)?;
        let (width, height) = decoder.dimensions();
        limit.check(width, height)?;
        let (rows, columns) = (height as usize, width as usize);
        let is_turned = matches!(
            orientation(&bytes, format, &mut decoder),
            Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
        );
        Ok(if is_turned { (columns, rows) } else { (rows, columns) })
    };
    read().with_context(|| format!("{}: cannot be decoded as an image", path.display()))
}

/// Whether an image file can be read: by its header alone, or by decoding it too.
///
/// # Errors
/// What [`open`] would find; of a header, that there is none of a known format, or that the image is larger than the limit.
pub(crate) fn check(path: &Path, limit: Limit, decodes: bool) -> Result<()> {
    if decodes {
        return open(path, limit).map(drop);
    }
    let at = || format!("{}: not readable", path.display());
    let mut file = BufReader::new(File::open(path).with_context(at)?);
    let format = {
        let mut first = Vec::new();
        (&mut file).take(FIRST).read_to_end(&mut first).with_context(at)?;
        format(&first).with_context(|| path.display().to_string())?
    };
    file.rewind().with_context(at)?;
    let read = || -> Result<()> {
        let mut reader = ImageReader::with_format(file, format);
        reader.limits(limit.memory());
        let (width, height) = reader.into_decoder().map_err(once)?.dimensions();
        limit.check(width, height)
    };
    read().with_context(|| path.display().to_string())
}

/// Reads an image file, turned as it is to be seen.
///
/// # Errors
/// If the file is missing or empty, is no image of a known format, is larger than the limit, or ends before its image does.
pub(crate) fn open(path: &Path, limit: Limit) -> Result<DynamicImage> {
    Ok(Stored::open(path, limit)?.turned())
}

/// Decodes the bytes of an image file, turned as the image is to be seen.
///
/// # Errors
/// If the bytes are no image of a known format, it is larger than the limit, or they end before it does.
pub fn decode(bytes: &[u8], limit: Limit) -> Result<DynamicImage> {
    Ok(Stored::decode(bytes, limit)?.turned())
}

/// The format of a file, by its content.
///
/// # Errors
/// If it is none that is read.
pub(crate) fn format(bytes: &[u8]) -> Result<ImageFormat> {
    ensure!(!bytes.is_empty(), "the file is empty");
    match image::guess_format(bytes) {
        Ok(format) if format.reading_enabled() => Ok(format),
        _ => bail!("its content is none of the known formats: PNG, JPEG, BMP, WebP, TIFF, GIF, PNM{}", hint(bytes)),
    }
}

/// What other content people take for images.
fn hint(bytes: &[u8]) -> &'static str {
    let begins = |with: &[u8]| bytes.trim_ascii_start().get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    let brand =
        |names: &[&[u8]]| bytes.get(4..8) == Some(b"ftyp") && bytes.get(8..12).is_some_and(|brand| names.contains(&brand));
    if begins(b"<!doctype html") || begins(b"<html") {
        "; it is a web page: was it downloaded?"
    } else if begins(b"<svg") || begins(b"<?xml") {
        "; it is XML or SVG: make a PNG of it"
    } else if brand(&[b"heic", b"heix", b"mif1", b"hevc", b"msf1"]) {
        "; it is HEIC: make a JPEG of it, or have the camera write JPEG"
    } else if brand(&[b"avif", b"avis"]) {
        "; it is AVIF: make a PNG of it"
    } else if begins(b"version https://git-lfs") {
        "; it is a pointer of Git LFS: fetch the file itself (git lfs pull)"
    } else if bytes.iter().all(|&byte| byte == 0) {
        "; all its bytes are zero: the copy failed"
    } else {
        ""
    }
}

/// An error of a decoder, said once: its own text has that of its causes.
pub(crate) fn once(error: impl std::fmt::Display) -> anyhow::Error {
    let text = error.to_string();
    let ends = ["end of file", "fill whole buffer", "eof"].iter().any(|words| text.to_lowercase().contains(words));
    if ends { anyhow!("the file is cut short ({text})") } else { anyhow!(text) }
}

/// The orientation that a PNG notes in its chunk eXIf, which may lie before the pixels or after them.
pub(crate) fn png_orientation(bytes: &[u8]) -> Orientation {
    let mut at = 8;
    while let Some(&[a, b, c, d]) = bytes.get(at..at + 4) {
        let (length, content) = (u32::from_be_bytes([a, b, c, d]) as usize, at + 8);
        if bytes.get(at + 4..content) == Some(b"eXIf") {
            let exif = content.checked_add(length).and_then(|end| bytes.get(content..end));
            return exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
        }
        at = content.saturating_add(length).saturating_add(4).min(bytes.len());
    }
    Orientation::NoTransforms
}

/// Whether a WebP file is as long as its header says.
fn is_whole_riff(bytes: &[u8]) -> bool {
    matches!(bytes.get(4..8), Some(&[a, b, c, d]) if u32::from_le_bytes([a, b, c, d]) as usize <= bytes.len() - 8)
}

/// Whether a JPEG file has its end-of-image marker (ITU T.81, B.1.1): segments are passed over by their lengths, so that the marker of
/// an embedded preview does not count.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // the next marker: 0xFF, perhaps repeated, and then a byte that is neither 0 (a value of 0xFF in the data) nor a restart
        let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0xFF)) else { return false };
        at += found + 1;
        let Some(&marker) = bytes.get(at) else { return false };
        match marker {
            0xD9 => return true,
            0xFF => {}
            0x00 | 0x01 | 0xD0..=0xD8 => at += 1,
            _ => {
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ImageEncoder, Rgb, RgbImage};

    /// Red on the left, blue on the right.
    fn halves() -> RgbImage {
        RgbImage::from_fn(40, 24, |x, _| if x < 20 { Rgb([220, 30, 30]) } else { Rgb([30, 30, 220]) })
    }

    fn jpeg(exif: Option<Vec<u8>>) -> Vec<u8> {
        let (mut bytes, image) = (Vec::new(), halves());
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        encoder.write_image(image.as_raw(), 40, 24, image::ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    /// EXIF of one entry, the orientation.
    fn orientation(value: u8) -> Vec<u8> {
        let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([value, 0, 0, 0, 0, 0, 0]);
        exif
    }

    fn decode(bytes: &[u8]) -> Result<DynamicImage> {
        super::decode(bytes, Limit::default())
    }

    #[test]
    fn the_content_decides_and_the_orientation_is_applied() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Pnm] {
            let mut bytes = Cursor::new(Vec::new());
            halves().write_to(&mut bytes, format).unwrap();
            assert_eq!(decode(bytes.get_ref()).unwrap().into_rgb8(), halves(), "{format:?}");
        }
        assert_eq!(decode(&jpeg(None)).unwrap().into_rgb8().dimensions(), (40, 24));
        // 6: to be turned clockwise, so that the left half is above; 8: the other way; 3: upside down
        let mut png = Cursor::new(Vec::new());
        halves().write_to(&mut png, ImageFormat::Png).unwrap();
        let mut png = png.into_inner();
        let end = png.len() - 12;
        let exif = [&26u32.to_be_bytes()[..], b"eXIf", &orientation(6), &[0; 4]].concat();
        png.splice(end..end, exif);
        assert_eq!(png_orientation(&png), Orientation::Rotate90);
        for (value, (x, y), size) in [(6, (12, 5), (24, 40)), (8, (12, 35), (24, 40)), (3, (35, 12), (40, 24))] {
            let turned = decode(&jpeg(Some(orientation(value)))).unwrap().into_rgb8();
            assert_eq!(turned.dimensions(), size, "orientation {value}");
            assert!(turned.get_pixel(x, y).0[0] > 180, "orientation {value}: {:?} is not red", turned.get_pixel(x, y));
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let error = |bytes: &[u8]| format!("{:#}", decode(bytes).unwrap_err());
        // with a preview in a segment of its own, which has an end of its own
        let mut preview = jpeg(Some(jpeg(None)));
        for whole in [jpeg(None), std::mem::take(&mut preview)] {
            assert!(decode(&whole).is_ok());
            assert!(decode(&[whole.as_slice(), b"\0\0 a trailer of the camera's"].concat()).is_ok());
            for part in [whole.len() - 2, whole.len() * 6 / 10, 200] {
                assert!(error(&whole[..part]).contains("cut short"), "{part} of {}", whole.len());
            }
        }
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Pnm] {
            let mut whole = Cursor::new(Vec::new());
            halves().write_to(&mut whole, format).unwrap();
            let text = error(&whole.get_ref()[..whole.get_ref().len() * 6 / 10]);
            assert!(text.contains("cut short") && !text.contains(": "), "{format:?}: {text}");
        }
        assert!(error(b"").contains("empty"));
        assert!(error(b"<html>404</html>").contains("none of the known formats"));
    }
}

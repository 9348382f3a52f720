//! `open`: the one place where image files are read. The format is that of the content, whatever the file is named; the orientation
//! that a camera noted (EXIF) is applied; a file that is cut short is refused.

use anyhow::{Context, Result, bail, ensure};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::io::Cursor;
use std::path::Path;

/// Endings of the names of image files, in lower case; in a folder only these are looked at.
pub(crate) const ENDINGS: [&str; 11] = ["png", "jpg", "jpeg", "bmp", "webp", "tif", "tiff", "gif", "ppm", "pgm", "pnm"];

/// Reads an image file, turned as it is to be seen.
///
/// # Errors
/// If the file is missing or empty, is no image of a known format, or ends before its image does.
pub(crate) fn open(path: &Path) -> Result<DynamicImage> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: not readable", path.display()))?;
    decode(&bytes).with_context(|| format!("{}: cannot be decoded as an image", path.display()))
}

fn decode(bytes: &[u8]) -> Result<DynamicImage> {
    ensure!(!bytes.is_empty(), "the file is empty");
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let Some(format) = reader.format() else {
        bail!("its content is none of the known formats: PNG, JPEG, BMP, WebP, TIFF, GIF, PNM")
    };
    // a decoder of JPEG fills what is missing with grey
    ensure!(format != ImageFormat::Jpeg || is_whole_jpeg(bytes), "the file is cut short");
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
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

    #[test]
    fn the_content_decides_and_the_orientation_is_applied() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Pnm] {
            let mut bytes = Cursor::new(Vec::new());
            halves().write_to(&mut bytes, format).unwrap();
            assert_eq!(decode(bytes.get_ref()).unwrap().into_rgb8(), halves(), "{format:?}");
        }
        assert_eq!(decode(&jpeg(None)).unwrap().into_rgb8().dimensions(), (40, 24));
        // 6: to be turned clockwise, so that the left half is above; 8: the other way; 3: upside down
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
        let mut png = Cursor::new(Vec::new());
        halves().write_to(&mut png, ImageFormat::Png).unwrap();
        assert!(decode(&png.get_ref()[..png.get_ref().len() / 2]).is_err());
        assert!(error(b"").contains("empty"));
        assert!(error(b"<html>404</html>").contains("none of the known formats"));
    }
}

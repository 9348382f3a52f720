//! Image files of every kind that people have become RGB as they are seen.
#![allow(clippy::unwrap_used, reason = "helpers of tests may stop")]

use image::{DynamicImage, ImageFormat, LumaA, Rgb, RgbImage, Rgba};
use png::{BitDepth, ColorType};
use sncn_vision::picture::{Limit, decode};
use std::io::Cursor;

fn rgb(bytes: &[u8]) -> RgbImage {
    decode(bytes, Limit::default()).unwrap().into_rgb8()
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    [&[0xff, marker], &(content.len() as u16 + 2).to_be_bytes()[..], content].concat()
}

/// A baseline JPEG of 8 × 8 pixels whose components have these values everywhere; `transform` is that of Adobe's segment.
fn jpeg(values: &[u8], transform: Option<u8>) -> Vec<u8> {
    let count = values.len() as u8;
    let each = |rest: &[u8]| (1..=count).flat_map(|i| [&[i], rest].concat()).collect::<Vec<u8>>();
    let mut bytes = vec![0xff, 0xd8];
    bytes.extend(
        transform.map_or(Vec::new(), |transform| segment(0xee, &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat())),
    );
    bytes.extend(segment(0xdb, &[&[0][..], &[1; 64]].concat()));
    bytes.extend(segment(0xc0, &[&[8, 0, 8, 0, 8, count][..], &each(&[0x11, 0])].concat()));
    // twelve codes of four bits for the sizes of differences; one of a bit for the end of a block
    bytes.extend(segment(0xc4, &[&[0, 0, 0, 0, 12][..], &[0; 12], &(0..12).collect::<Vec<u8>>()].concat()));
    bytes.extend(segment(0xc4, &[&[0x10, 1][..], &[0; 15], &[0]].concat()));
    bytes.extend(segment(0xda, &[&[count][..], &each(&[0]), &[0, 63, 0]].concat()));
    let mut bits = String::new();
    for &value in values {
        let coefficient = 8 * (i32::from(value) - 128);
        let size = (32 - coefficient.unsigned_abs().leading_zeros()) as usize;
        bits += &format!("{size:04b}");
        if size > 0 {
            let code = if coefficient > 0 { coefficient } else { coefficient + (1 << size) - 1 };
            bits += &format!("{code:0size$b}");
        }
        bits.push('0');
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    for byte in bits.as_bytes().chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'))) {
        bytes.push(byte);
        bytes.extend((byte == 0xff).then_some(0));
    }
    [bytes.as_slice(), &[0xff, 0xd9]].concat()
}

/// The expected colours are Pillow's.
#[test]
fn jpeg_of_every_colour_model() {
    for (values, transform, want) in [
        ([200].as_slice(), None, [200, 200, 200]),
        (&[200, 90, 170], None, [255, 183, 133]),
        (&[200, 90, 170], Some(0), [200, 90, 170]),
        (&[200, 90, 170], Some(1), [255, 183, 133]),
        (&[200, 90, 170, 230], Some(0), [180, 81, 153]),
        (&[200, 90, 170, 230], Some(2), [0, 65, 110]),
    ] {
        let Rgb(found) = *rgb(&jpeg(values, transform)).get_pixel(3, 3);
        let near = found.iter().zip(&want).all(|(a, b)| a.abs_diff(*b) <= 2);
        assert!(near, "{values:?} {transform:?}: {found:?}, {want:?} is wanted");
    }
}

fn png(colour: ColorType, depth: BitDepth, palette: Option<(&[u8], &[u8])>, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if let Some((palette, transparency)) = palette {
        encoder.set_palette(palette.to_vec());
        encoder.set_trns(transparency.to_vec());
    }
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

#[test]
fn png_of_every_colour_type() {
    use BitDepth::{Eight, One, Sixteen};
    let palette: (&[u8], &[u8]) = (&[9, 8, 7, 200, 100, 50], &[255, 0]);
    for (bytes, want) in [
        (png(ColorType::Grayscale, Eight, None, &[7, 200]), [[7, 7, 7], [200, 200, 200]]),
        (png(ColorType::Grayscale, One, None, &[0b0100_0000]), [[0, 0, 0], [255, 255, 255]]),
        (png(ColorType::Grayscale, Sixteen, None, &[10, 10, 200, 200]), [[10, 10, 10], [200, 200, 200]]),
        (png(ColorType::GrayscaleAlpha, Eight, None, &[7, 255, 200, 255]), [[7, 7, 7], [200, 200, 200]]),
        (png(ColorType::Indexed, Eight, Some(palette), &[0, 1]), [[9, 8, 7], [200, 100, 50]]),
        (png(ColorType::Indexed, One, Some(palette), &[0b0100_0000]), [[9, 8, 7], [200, 100, 50]]),
        (png(ColorType::Rgb, Sixteen, None, &[9, 9, 8, 8, 7, 7, 3, 3, 2, 2, 1, 1]), [[9, 8, 7], [3, 2, 1]]),
        // what alpha hides keeps its colour, as in Pillow
        (png(ColorType::Rgba, Eight, None, &[9, 8, 7, 0, 3, 2, 1, 255]), [[9, 8, 7], [3, 2, 1]]),
    ] {
        let image = rgb(&bytes);
        assert_eq!([image.get_pixel(0, 0).0, image.get_pixel(1, 0).0], want);
    }
}

#[test]
fn of_an_animation_the_first_frame() {
    let frame = |value: u8| image::Frame::new(image::RgbaImage::from_pixel(4, 3, Rgba([value, value, value, 255])));
    let mut bytes = Vec::new();
    image::codecs::gif::GifEncoder::new(&mut bytes).encode_frames([frame(200), frame(50)]).unwrap();
    assert_eq!(rgb(&bytes), RgbImage::from_pixel(4, 3, Rgb([200; 3])));
}

#[test]
fn other_formats_and_sizes() {
    for (width, height) in [(1, 1), (500, 8), (3, 700)] {
        let image = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 9]));
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Pnm] {
            let mut bytes = Cursor::new(Vec::new());
            DynamicImage::from(image.clone()).write_to(&mut bytes, format).unwrap();
            assert_eq!(rgb(bytes.get_ref()), image, "{format:?}");
        }
    }
    let grey = image::ImageBuffer::from_pixel(2, 2, LumaA([90u8, 255]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageLumaA8(grey).write_to(&mut bytes, ImageFormat::WebP).unwrap();
    assert_eq!(rgb(bytes.get_ref()).get_pixel(1, 1), &Rgb([90; 3]));
}

/// A frame may claim to be larger than its image: memory is not taken for it.
#[test]
fn a_frame_that_claims_gigabytes_is_refused() {
    let mut bytes = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0".to_vec();
    bytes.extend([0xff, 0xff, 0xff, 0xff, 0, 2, 2, 0x44, 1, 0, b';']);
    let error = format!("{:#}", decode(&bytes, Limit::default()).unwrap_err());
    assert!(error.to_lowercase().contains("memory"), "{error}");
}

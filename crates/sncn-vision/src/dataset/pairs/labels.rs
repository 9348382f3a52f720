//! Label files: PNG images whose values (grey values or palette indices) or whose colours stand for classes.

use super::legend::Legend;
use anyhow::{Context, Result, bail, ensure};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::io::Cursor;

/// The largest size of a decoded label file in bytes.
const LIMIT: usize = 1 << 28;

/// Decodes a label file from its bytes: height, width and the class of every pixel, row by row; 255 is void.
///
/// # Errors
/// If the file is not a PNG of 8 bits or fewer, if it uses colours and the legend has none, or if a value or colour is not a
/// class; the error names the pixel and the accepted values.
pub fn decode(bytes: &[u8], legend: &Legend) -> Result<(usize, usize, Vec<u8>)> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), Limits { bytes: LIMIT });
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().context("cannot be decoded as a PNG; label files are PNG")?;
    let (colour, depth) = reader.output_color_type();
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    ensure!(depth != BitDepth::Sixteen, "has 16 bits per value; label files have 8 or fewer");
    let size = reader.output_buffer_size().filter(|size| *size <= LIMIT);
    let size = size.with_context(|| format!("{width} × {height} pixels are more than {LIMIT} bytes"))?;
    let mut data = vec![0; size];
    let info = reader.next_frame(&mut data).context("cannot be decoded as a PNG")?;
    let at = |index: usize| format!("row {}, column {}", index / width, index % width);
    let labels = match colour {
        ColorType::Grayscale | ColorType::Indexed => {
            let bits = depth as usize;
            let rows = data.chunks_exact(info.line_size).take(height);
            let values = rows.flat_map(|row| (0..width).map(move |x| unpacked(row, x, bits)));
            let label = |(index, value): (usize, u8)| match legend.class_of(value) {
                Some(class) => Ok(class),
                None => bail!("value {value} at {} is not a class; {}", at(index), legend.accepted()),
            };
            values.enumerate().map(label).collect::<Result<Vec<_>>>()?
        }
        ColorType::Rgb | ColorType::Rgba => {
            ensure!(
                legend.is_coloured(),
                "is coded by colours, but the classes have none: give every line of the class list a colour (name r g b), or \
                convert the labels to class indices"
            );
            let channels = if colour == ColorType::Rgb { 3 } else { 4 };
            let label = |(index, pixel): (usize, &[u8])| match legend.class_of_colour([pixel[0], pixel[1], pixel[2]]) {
                Some(class) => Ok(class),
                None => bail!("colour {:?} at {} is not the colour of a class", &pixel[..3], at(index)),
            };
            data.chunks_exact(channels).take(width * height).enumerate().map(label).collect::<Result<Vec<_>>>()?
        }
        ColorType::GrayscaleAlpha => bail!("has an alpha channel; class indices, a palette or RGB are accepted"),
    };
    ensure!(labels.len() == width * height, "holds {} of {} values", labels.len(), width * height);
    Ok((height, width, labels))
}

/// Value `x` of a row of packed values with `bits` bits each, the first value in the highest bits.
fn unpacked(row: &[u8], x: usize, bits: usize) -> u8 {
    let (each, mask) = (8 / bits, (1u16 << bits) - 1);
    (u16::from(row[x / each]) >> (bits * (each - 1 - x % each)) & mask) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let refused = |bytes: &[u8], legend: &Legend, words: &[&str]| {
            let error = format!("{:#}", decode(bytes, legend).unwrap_err());
            words.iter().for_each(|word| assert!(error.contains(word), "{word:?} is not in {error}"));
        };
        refused(&rgb, &plain, &["coded by colours", "name r g b"]);
        refused(
            &file(ColorType::Rgb, BitDepth::Eight, None, 1, &[9, 9, 9, 1, 2, 3]),
            &coloured,
            &["[1, 2, 3]", "row 1, column 0"],
        );
        refused(&file(ColorType::Grayscale, BitDepth::Eight, None, 1, &[0, 7]), &plain, &["value 7", "row 1", "0 to 2"]);
        refused(&file(ColorType::Grayscale, BitDepth::Sixteen, None, 1, &[0; 4]), &plain, &["16 bits"]);
        refused(&file(ColorType::GrayscaleAlpha, BitDepth::Eight, None, 1, &[0; 4]), &plain, &["alpha"]);
        refused(&grey[..grey.len() - 20], &plain, &["PNG"]);
        refused(b"no picture", &plain, &["PNG"]);
        Ok(())
    }
}

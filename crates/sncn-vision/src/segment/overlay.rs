//! Pictures of labels: colours over an image, a palette PNG of class indices, and the legend.

use crate::dataset::pairs::Legend;
use crate::picture::glyphs;
use anyhow::{Context, Result};
use image::{Rgb, RgbImage};
use sncn_train::files::write_atomically;
use std::path::Path;

/// Share of the class colour in an overlay.
const SHARE: f32 = 0.55;
/// Side of a legend's swatch, and the space around things.
const SWATCH: u32 = 12;
const SPACE: u32 = 6;

/// The colours of labels (H·W), H·W·3 bytes.
pub fn colours(labels: &[u32], legend: &Legend) -> Vec<u8> {
    labels.iter().flat_map(|&label| legend.colour(label)).collect()
}

/// The colours of labels blended with the image (H·W·3 bytes).
pub fn overlay(image: &[u8], labels: &[u32], legend: &Legend) -> Vec<u8> {
    let blend = |(&below, above): (&u8, u8)| (f32::from(below) * (1. - SHARE) + f32::from(above) * SHARE).round() as u8;
    image.iter().zip(colours(labels, legend)).map(blend).collect()
}

/// Writes labels as a palette PNG whose values are the classes.
///
/// # Errors
/// If the file cannot be written; no half of it is left.
pub fn save_index(path: &Path, (height, width): (usize, usize), labels: &[u32], legend: &Legend) -> Result<()> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..256u32).flat_map(|class| legend.colour(class)).collect::<Vec<u8>>());
    let values: Vec<u8> = labels.iter().map(|&label| label as u8).collect();
    let at = || path.display().to_string();
    encoder.write_header().with_context(at)?.write_image_data(&values).with_context(at)?;
    Ok(write_atomically(path, &bytes)?)
}

/// The classes with their colours, in a row that breaks at `width` pixels.
pub fn legend_picture(legend: &Legend, width: u32) -> RgbImage {
    let entries: Vec<(&str, [u8; 3], u32)> = legend
        .classes
        .iter()
        .zip(&legend.colours)
        .map(|(name, colour)| (name.as_str(), *colour, SWATCH + SPACE + glyphs::width(name) as u32 + 2 * SPACE))
        .collect();
    let (mut places, mut x, mut y) = (Vec::new(), SPACE, SPACE);
    for (_, _, wide) in &entries {
        if x > SPACE && x + wide > width {
            (x, y) = (SPACE, y + SWATCH + SPACE);
        }
        places.push((x, y));
        x += wide;
    }
    let mut picture = RgbImage::from_pixel(width, y + SWATCH + SPACE, Rgb([255; 3]));
    for ((name, colour, _), (x, y)) in entries.into_iter().zip(places) {
        for (dx, dy) in (0..SWATCH * SWATCH).map(|i| (i % SWATCH, i / SWATCH)).filter(|(dx, _)| x + dx < width) {
            picture.put_pixel(x + dx, y + dy, Rgb(colour));
        }
        let (left, top) = ((x + SWATCH + SPACE) as usize, (y + 3) as usize);
        let room = (width as usize).saturating_sub(left);
        glyphs::draw(&mut picture, left, top, glyphs::fitting(name, room), Rgb([40; 3]));
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::pairs::labels;

    #[test]
    fn an_index_file_is_read_back_as_it_was() -> Result<()> {
        let legend = Legend::parse("sky 1 2 3\nroad 4 5 6\n")?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("labels.png");
        save_index(&path, (2, 3), &[0, 1, 1, 255, 0, 0], &legend)?;
        assert_eq!(labels::decode(&std::fs::read(&path)?, &legend)?, (2, 3, vec![0, 1, 1, 255, 0, 0]));
        assert_eq!(image::open(&path)?.into_rgb8().get_pixel(1, 0).0, [4, 5, 6]);
        assert_eq!(overlay(&[0; 6], &[1, 255], &legend), [2, 3, 3, 0, 0, 0]);
        let picture = legend_picture(&legend, 60);
        assert_eq!((picture.width(), picture.height()), (60, 42));
        Ok(())
    }
}

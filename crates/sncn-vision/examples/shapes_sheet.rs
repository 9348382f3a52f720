//! A picture of the generated data set: a row for each style, a column for each class, two images of each.
//!
//! Run with `cargo run -p sncn-vision --example shapes_sheet -- data/shapes.png`.

use anyhow::{Context, Result};
use image::{RgbImage, imageops};
use sncn_vision::dataset::{Source, shapes};

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: shapes_sheet FILE.png")?;
    let splits = shapes::open(&Source::default())?;
    let (columns, cell, zoom) = (20, 34, 2);
    let mut sheet = RgbImage::from_pixel(columns * cell * zoom, splits.test.len() as u32 * cell * zoom, image::Rgb([255; 3]));
    for (row, (_, images)) in splits.test.iter().enumerate() {
        for column in 0..columns {
            let mut bytes = vec![0; 3 * images.height() * images.width()];
            images.read(column as usize, &mut bytes)?;
            let tile = RgbImage::from_raw(images.width() as u32, images.height() as u32, bytes).context("image size")?;
            let tile = imageops::resize(&tile, 32 * zoom, 32 * zoom, imageops::FilterType::Nearest);
            imageops::replace(&mut sheet, &tile, i64::from(column * cell * zoom), row as i64 * i64::from(cell * zoom));
        }
    }
    sheet.save(&path).with_context(|| path.clone())
}

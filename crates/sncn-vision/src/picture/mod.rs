//! `Sheet`: images in labelled rows and columns as one PNG, for `corrupt --sheet` and `show`. Also reading of image files.

pub(crate) mod glyphs;
mod limit;
mod list;
mod open;
mod photo;
mod targets;

pub use limit::Limit;
pub(crate) use list::{Listing, entries, given, is_named_image, list};
pub use open::decode;
pub(crate) use open::{ENDINGS, Stored, check, format, once, open, png_orientation, size};
pub use photo::Photo;
pub(crate) use targets::{stems, with_ending};

use crate::corruption::Dims;
use anyhow::{Context, Result};
use image::{ImageBuffer, Rgb, RgbImage, imageops};
use sncn_core::BoundingBox;
use std::path::Path;

const GAP: usize = 2;
const MARGIN: usize = 4;
const INK: Rgb<u8> = Rgb([40; 3]);

/// A contact sheet: images of one size in labelled rows and columns on white.
pub struct Sheet {
    picture: RgbImage,
    tile: Dims,
    /// Every pixel of an image is drawn as a square of this side.
    scale: usize,
    left: usize,
    top: usize,
}

impl Sheet {
    /// An empty sheet for images of size `tile`, which are enlarged to at least `side` rows of pixels, with the labels of its rows
    /// and columns.
    pub fn new(tile: Dims, side: usize, rows: &[String], columns: &[String]) -> Self {
        Self::within(usize::MAX, tile, side, rows, columns)
    }

    /// The same, at most `width` pixels across: larger images are made smaller.
    pub(crate) fn within(width: usize, tile: Dims, side: usize, rows: &[String], columns: &[String]) -> Self {
        let left = rows.iter().map(|name| glyphs::width(name)).max().unwrap_or(0) + 2 * MARGIN;
        let room = (width.saturating_sub(left) / columns.len().max(1)).saturating_sub(GAP).max(1);
        let tile = match tile.width > room {
            true => Dims { height: (tile.height * room).div_ceil(tile.width), width: room },
            false => tile,
        };
        let scale = side.div_ceil(tile.height.max(1)).clamp(1, (room / tile.width.max(1)).max(1));
        let top = glyphs::HEIGHT + 2 * MARGIN;
        let cell = (tile.height * scale).max(glyphs::HEIGHT) + GAP;
        let (width, height) = (left + columns.len() * (tile.width * scale + GAP), top + rows.len() * cell);
        let picture = RgbImage::from_pixel(width as u32, height as u32, Rgb([255; 3]));
        let mut sheet = Self { picture, tile, scale, left, top };
        for (row, name) in rows.iter().enumerate() {
            let (below, (_, y)) = ((sheet.cell_height() - glyphs::HEIGHT) / 2, sheet.corner(row, 0));
            glyphs::draw(&mut sheet.picture, MARGIN, y + below, name, INK);
        }
        for (column, name) in columns.iter().enumerate() {
            let (x, _) = sheet.corner(0, column);
            let name = glyphs::fitting(name, tile.width * scale);
            glyphs::draw(&mut sheet.picture, x + (tile.width * scale - glyphs::width(name)) / 2, MARGIN, name, INK);
        }
        sheet
    }

    fn cell_height(&self) -> usize {
        (self.tile.height * self.scale).max(glyphs::HEIGHT)
    }

    fn corner(&self, row: usize, column: usize) -> (usize, usize) {
        let (width, height) = (self.tile.width * self.scale + GAP, self.cell_height() + GAP);
        (self.left + column * width, self.top + row * height)
    }

    /// Draws an image of size `dims` at a row and column of the sheet, made smaller where the sheet's tiles are.
    ///
    /// # Errors
    /// If the image has another length.
    pub(crate) fn place_large(&mut self, values: &[u8], dims: Dims, row: usize, column: usize) -> Result<()> {
        self.place(shrunk(values, dims, self.tile)?, row, column)
    }

    /// Draws an image (height × width × 3 bytes) at a row and column of the sheet.
    ///
    /// # Errors
    /// If the image does not have the size of the tiles.
    pub fn place(&mut self, values: Vec<u8>, row: usize, column: usize) -> Result<()> {
        let (width, height) = (self.tile.width as u32, self.tile.height as u32);
        let image = RgbImage::from_raw(width, height, values).context("an image of another size than the sheet's tiles")?;
        let scale = self.scale as u32;
        let image = imageops::resize(&image, width * scale, height * scale, imageops::FilterType::Nearest);
        let (x, y) = self.corner(row, column);
        imageops::replace(&mut self.picture, &image, x as i64, y as i64);
        Ok(())
    }

    /// Draws a thin line just inside a box of the image at a row and column.
    pub(crate) fn outline(&mut self, window: BoundingBox, row: usize, column: usize, colour: Rgb<u8>) {
        let (x, y) = self.corner(row, column);
        let [left, right] = [window.left, window.right].map(|at| x + at * self.scale);
        let [top, bottom] = [window.top, window.bottom].map(|at| y + at * self.scale);
        for at in left..right {
            [top, bottom - 1].iter().for_each(|&y| self.picture.put_pixel(at as u32, y as u32, colour));
        }
        for at in top..bottom {
            [left, right - 1].iter().for_each(|&x| self.picture.put_pixel(x as u32, at as u32, colour));
        }
    }

    /// Writes the sheet as a PNG.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(self, path: &Path) -> Result<()> {
        save(path, &self.picture)
    }
}

/// An image of size `dims`, made smaller to size `to`: every pixel is the mean of those it stands for.
fn shrunk(values: &[u8], dims: Dims, to: Dims) -> Result<Vec<u8>> {
    let image = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(dims.width as u32, dims.height as u32, values);
    let image = image.context("an image of another length than its size")?;
    Ok(if dims == to { values.to_vec() } else { imageops::thumbnail(&image, to.width as u32, to.height as u32).into_raw() })
}

/// Writes an image as a PNG, whole or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn save(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png)?;
    Ok(sncn_train::files::write_atomically(path, &bytes.into_inner())?)
}

/// Reads an image file as RGB, turned as it is to be seen, whatever its name says of its format.
///
/// # Errors
/// If the file is missing, cannot be decoded, is larger than the limit, or is cut short.
pub fn read(path: &Path, limit: Limit) -> Result<RgbImage> {
    Ok(open(path, limit)?.into_rgb8())
}

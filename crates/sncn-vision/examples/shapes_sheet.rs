//! A picture of the generated data set: a row for each style, a column for each class, two images of each.
//!
//! Run with `cargo run -p sncn-vision --example shapes_sheet -- data/shapes.png`.

use anyhow::{Context, Result};
use sncn_vision::dataset::{DataDir, shapes};
use sncn_vision::picture::{Photo, Sheet};
use std::path::Path;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: shapes_sheet FILE.png")?;
    let splits = shapes::open(&DataDir::default())?;
    let rows: Vec<String> = splits.test.iter().map(|(name, _)| name.clone()).collect();
    let columns = [splits.classes(), splits.classes()].concat();
    let dims = splits.trained("shapes")?.dims().context("images of one size")?;
    let mut sheet = Sheet::new(dims, 64, &rows, &columns);
    for (row, (_, images)) in splits.test.iter().enumerate() {
        for column in 0..columns.len() {
            let mut photo = Photo::default();
            images.read(column, &mut photo)?;
            sheet.place(photo.into_bytes(), row, column)?;
        }
    }
    sheet.save(Path::new(&path))
}

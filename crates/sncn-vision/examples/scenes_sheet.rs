//! Draws the generated road scenes: clean above, weathered below, labels last. `cargo run --example scenes_sheet -- scenes.png`

use anyhow::{Context, Result};
use sncn_core::Seed;
use sncn_vision::corruption::Dims;
use sncn_vision::dataset::DataDir;
use sncn_vision::dataset::pairs::open;
use sncn_vision::dataset::pairs::scenes::{Look, SIZE, scene};
use sncn_vision::picture::Sheet;
use std::path::Path;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("the file to write is wanted")?;
    let legend = open("scenes", &DataDir::default())?.train.legend().clone();
    let columns: Vec<String> = (0..6).map(|_| String::new()).collect();
    let rows = ["clean", "weather", "labels"].map(str::to_string);
    let mut sheet = Sheet::new(Dims { height: SIZE.0, width: SIZE.1 }, 2 * SIZE.0, &rows, &columns);
    for column in 0..columns.len() {
        let [clean, weather] = [Look::Clean, Look::Weather].map(|look| scene(look, Seed::new(1), column));
        let labels = clean.labels.iter().flat_map(|&label| legend.colour(u32::from(label))).collect();
        for (row, image) in [clean.image, weather.image, labels].into_iter().enumerate() {
            sheet.place(image, row, column)?;
        }
    }
    sheet.save(Path::new(&path))
}

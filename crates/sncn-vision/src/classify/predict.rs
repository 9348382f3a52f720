//! `sncn-classify predict`: image files to labels with probabilities.

use super::setup::Classify;
use crate::picture::{self, Limit, Photo};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use sncn_train::harness::{Trained, cli};
use sncn_train::predict::probabilities;
use std::path::PathBuf;

/// Which images, and what is printed.
#[derive(clap::Args, Debug)]
pub struct Predict {
    /// How many labels to print for an image.
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Precision of the factors of convolutions, f32 or bf16.
    #[arg(long, value_enum, hide_possible_values = true, default_value = "f32")]
    precision: cli::Rounding,
    #[command(flatten)]
    limit: Limit,
    /// Image files (PNG, JPEG, BMP, WebP, TIFF, GIF, PNM), or folders of them.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// Prints a line for each image: its most probable classes.
pub(super) fn run(trained: &Trained<Classify>, options: &Predict) -> Result<()> {
    let (classes, pass) = (&trained.header.classes, cli::pass(options.precision));
    let (preprocessing, mut fitted) = (&trained.run.settings.preprocessing, Photo::default());
    let side = preprocessing.size;
    for (path, _) in &picture::given(&options.images, None)? {
        let photo = Photo::from(picture::read(path, options.limit)?);
        preprocessing.fit(&photo, &mut fitted).with_context(|| path.display().to_string())?;
        let values = preprocessing.normalisation().values(fitted.bytes());
        let rows = probabilities(trained.network(), &Tensor::from_vec(values, (1, side, side, 3), &Device::Cpu)?, &pass)?;
        let mut ranked: Vec<(f64, &str)> = rows.concat().into_iter().zip(classes.iter().map(String::as_str)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let labels: Vec<String> =
            ranked.iter().take(options.top.max(1)).map(|(p, name)| format!("{name} {:.1} %", 100. * p)).collect();
        out!("{}: {}", path.display(), labels.join(", "));
    }
    Ok(())
}

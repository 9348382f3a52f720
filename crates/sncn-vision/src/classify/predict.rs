//! `sncn-classify predict`: image files to labels with probabilities.

use super::setup;
use crate::augment::normalise;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use image::imageops::FilterType;
use sncn_train::harness::cli;
use sncn_train::harness::saved::{self, Saved};
use sncn_train::predict::probabilities;
use std::path::PathBuf;

/// Label image files with a trained network.
#[derive(clap::Args, Debug)]
pub struct Predict {
    #[command(flatten)]
    saved: Saved,
    /// Side of the images the network was trained on; others are resized and centre-cropped to it.
    #[arg(long, default_value_t = 32)]
    size: u32,
    /// How many labels to print for an image.
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Precision of the factors of convolutions.
    #[arg(long, value_enum, default_value = "f32")]
    precision: cli::Rounding,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
    /// Image files (PNG, JPEG, BMP, WebP).
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

impl Predict {
    /// Runs the command.
    ///
    /// # Errors
    /// Where the checkpoint does not fit or an image does not decode.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        ensure!((8..=1024).contains(&self.size), "--size is {}; 8 to 1024 is accepted", self.size);
        let saved = self.saved.read()?;
        let (run, _) = saved::run_of(&saved)?;
        let classes = &saved.header.classes;
        let (network, vars) = setup::network(&run, classes.len(), 0)?;
        saved.load_weights(&vars)?;
        let pass = cli::pass(self.precision);
        for path in &self.images {
            let image = image::open(path).with_context(|| format!("{}: does not decode as an image", path.display()))?;
            let image = image.resize_to_fill(self.size, self.size, FilterType::Triangle).into_rgb8();
            let values: Vec<f32> = image.as_raw().iter().map(|&byte| normalise(f32::from(byte))).collect();
            let side = self.size as usize;
            let rows = probabilities(&*network, &Tensor::from_vec(values, (1, side, side, 3), &Device::Cpu)?, &pass)?;
            let mut ranked: Vec<(f64, &str)> = rows.concat().into_iter().zip(classes.iter().map(String::as_str)).collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
            let labels: Vec<String> =
                ranked.iter().take(self.top.max(1)).map(|(p, name)| format!("{name} {:.1} %", 100. * p)).collect();
            out!("{}: {}", path.display(), labels.join(", "));
        }
        Ok(())
    }
}

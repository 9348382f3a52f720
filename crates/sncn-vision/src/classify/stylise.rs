//! `sncn-classify stylise`: image files with the styles of others, to be trained on as a data set of their own.

use super::queue::Queue;
use crate::corruption::Dims;
use crate::picture::{self, Limit, Photo};
use crate::restyle::{Restyle, Styles};
use anyhow::{Context, Result};
use image::RgbImage;
use sncn_core::Seed;
use sncn_train::harness::cli;
use std::path::PathBuf;

/// Write restyled copies of a folder of images or of an image file, as Stylized-ImageNet is made.
#[derive(clap::Args, Debug)]
pub struct Stylise {
    /// A folder of image files, such as the class folders of a data set, or an image file.
    #[arg(long, value_name = "PATH")]
    input: PathBuf,
    /// Folder of the images whose styles are taken.
    #[arg(long, value_name = "DIR")]
    styles: String,
    /// Folder for the copies: PNG files, with the paths that the images have.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The published encoder, vgg_normalised.pth (default: statistics of pixel values are exchanged).
    #[arg(long, value_name = "FILE", requires = "decoder")]
    encoder: Option<String>,
    /// The published decoder, decoder.pth.
    #[arg(long, value_name = "FILE", requires = "encoder")]
    decoder: Option<String>,
    /// How far images go to their style, 0 to 1.
    #[arg(long, value_name = "A", default_value_t = 1.)]
    strength: f64,
    /// Short side that larger images are reduced to (default: their own; with an encoder 224).
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    #[command(flatten)]
    limit_pixels: Limit,
    /// Only the first images.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Seed of the choice of styles.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

impl Stylise {
    /// Runs the command.
    ///
    /// # Errors
    /// If a folder has no images, one of them does not decode, weights do not fit, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let settings = Restyle {
            source: self.styles.clone(),
            share: 1.,
            strength: self.strength,
            size: self.size,
            encoder: self.encoder.clone(),
            decoder: self.decoder.clone(),
        };
        let styles = Styles::open(&settings, &cli::data_dir(None))?;
        let mut files = picture::given(std::slice::from_ref(&self.input), Some(&self.output))?;
        files.truncate(self.limit.unwrap_or(usize::MAX));
        let stems = picture::stems(&files)?;
        let bar = cli::progress(files.len(), "stylise");
        Queue::run(files.len(), |index, queue| {
            let path = &files[index].0;
            let mut photo = Photo::from(picture::read(path, self.limit_pixels)?);
            let share = queue.share(styles.memory(photo.dims()));
            let seed = Seed::new(self.seed).named("style").fold_in(index as u64);
            styles.apply(&mut photo, &mut Photo::default(), seed).with_context(|| path.display().to_string())?;
            let Dims { height, width } = photo.dims();
            let image = RgbImage::from_raw(width as u32, height as u32, photo.into_bytes()).context("image size")?;
            picture::save(&self.output.join(picture::with_ending(&stems[index], ".png")), &image)?;
            drop(share);
            bar.inc(1);
            Ok(())
        })?;
        bar.finish_and_clear();
        out!("{}: {} images with one of {}", self.output.display(), files.len(), styles.describe());
        Ok(())
    }
}

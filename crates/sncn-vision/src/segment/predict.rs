//! `sncn-segment predict`: image files to colour overlays and index files, with a legend.

use super::overlay;
use super::scoring::Protocol;
use super::setup::Segment;
use crate::dataset::pairs::Legend;
use crate::picture::{self, Limit};
use crate::preprocess::Normalisation;
use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use image::RgbImage;
use sncn_train::harness::{Trained, cli};
use std::path::PathBuf;

/// Which images, and where their labels go: of `photo.jpg`, `photo-overlay.png` and `photo-labels.png`, and `legend.png`.
#[derive(clap::Args, Debug)]
pub struct Predict {
    /// Folder to write to; it is made where it is missing.
    #[arg(long)]
    output: PathBuf,
    /// A class list with colours (name r g b), in place of the data set's own colours.
    #[arg(long)]
    classes: Option<PathBuf>,
    /// Side of a sliding window in place of the run's protocol; windows overlap by a third.
    #[arg(long)]
    window: Option<usize>,
    /// Precision of the factors of convolutions, f32 or bf16.
    #[arg(long, value_enum, hide_possible_values = true, default_value = "f32")]
    precision: cli::Rounding,
    #[command(flatten)]
    limit: Limit,
    /// Image files (PNG, JPEG, BMP, WebP, TIFF, GIF, PNM), or folders of them.
    #[arg(required = true)]
    images: Vec<PathBuf>,
}

/// Writes overlays and labels of all images, and prints a line for each.
pub(super) fn run(trained: &Trained<Segment>, options: &Predict) -> Result<()> {
    let names = &trained.header.classes;
    let legend = match &options.classes {
        Some(path) => Legend::read(path)?,
        None => Legend::known(names),
    };
    ensure!(
        legend.classes == *names,
        "--classes: the classes ({}) are not those the network was trained on ({})",
        legend.classes.join(", "),
        names.join(", ")
    );
    let mut scorer = trained.model.scorer(names.len(), cli::pass(options.precision));
    if let Some(side) = options.window {
        scorer.protocol = Protocol::sliding(side).context("--window")?;
    }
    let files = options.files()?;
    std::fs::create_dir_all(&options.output).with_context(|| format!("{}: cannot be made", options.output.display()))?;
    for (path, name) in &files {
        let image = picture::read(path, options.limit)?;
        let (height, width) = (image.height() as usize, image.width() as usize);
        let values = Normalisation::CIFAR.values(image.as_raw());
        let labels = scorer.labels(&Tensor::from_vec(values, (1, height, width, 3), &Device::Cpu)?);
        let labels = labels.with_context(|| format!("{}: {width} × {height} pixels", path.display()))?;
        let blended = overlay::overlay(image.as_raw(), &labels, &legend);
        let blended = RgbImage::from_raw(image.width(), image.height(), blended).context("an overlay of another size")?;
        let target = |what: &str| options.output.join(format!("{name}-{what}.png"));
        picture::save(&target("overlay"), &blended)?;
        overlay::save_index(&target("labels"), (height, width), &labels, &legend)?;
        out!("{}: {}", target("overlay").display(), fractions(&labels, names));
    }
    picture::save(&options.output.join("legend.png"), &overlay::legend_picture(&legend, 480))
}

impl Predict {
    /// The files with the names of what is made of them, which differ.
    fn files(&self) -> Result<Vec<(PathBuf, String)>> {
        let flat = |name: PathBuf| PathBuf::from(name.to_string_lossy().replace(['/', '\\'], "-"));
        let files: Vec<_> = picture::given(&self.images, Some(&self.output))?;
        let files: Vec<_> = files.into_iter().map(|(file, name)| (file, flat(name))).collect();
        let names = picture::stems(&files)?.into_iter().map(|name| name.to_string_lossy().into_owned());
        Ok(files.into_iter().map(|(file, _)| file).zip(names).collect())
    }
}

/// The largest classes with their fractions of the pixels, in percent.
fn fractions(labels: &[u32], classes: &[String]) -> String {
    let count = |class: usize| labels.iter().filter(|label| **label as usize == class).count();
    let mut fractions: Vec<(usize, &str)> =
        classes.iter().enumerate().map(|(class, name)| (count(class), name.as_str())).collect();
    fractions.sort_by_key(|fraction| std::cmp::Reverse(fraction.0));
    let most = fractions.iter().take(4).filter(|(count, _)| *count > 0);
    most.map(|(count, name)| format!("{name} {:.1} %", 100. * *count as f64 / labels.len().max(1) as f64))
        .collect::<Vec<_>>()
        .join(", ")
}

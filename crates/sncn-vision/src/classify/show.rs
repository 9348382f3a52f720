//! `sncn-classify show`: what CrossNorm does, seen on pixels: contents (rows) in the styles of other images (columns). With `--site` it acts
//! on the features of a trained network, which are carried back to pixels.

use super::inside::{Block, Effect, Inside, style_distance};
use super::setup::Classify;
use crate::corruption::Dims;
use crate::dataset::Images;
use crate::picture::{self, Limit, Photo, Sheet};
use crate::preprocess::Preprocessing;
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use image::Rgb;
use rand::seq::index;
use sncn_core::layer::{Crop, CrossNormConfig};
use sncn_core::{BoundingBox, CrossNormDraw, Layer, Pass, Seed};
use sncn_train::harness::saved::Saved;
use sncn_train::harness::{Trained, cli};
use sncn_train::inversion::{Descent, Inversion};
use std::path::{Path, PathBuf};

/// Rows that an image has at least on the sheet.
const SIDE: usize = 96;
const CONTENT: Rgb<u8> = Rgb([230, 159, 0]);
const STYLE: Rgb<u8> = Rgb([86, 180, 233]);

/// What is cropped.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Cropped {
    /// Nothing.
    Neither,
    /// The style image: its statistics come from a box.
    Style,
    /// The content image: only a box of it is restyled.
    Content,
    /// Both.
    Both,
}

/// Draw contents (rows) in styles (columns): CrossNorm on pixels or inside a network.
#[derive(clap::Args, Debug)]
pub struct Show {
    /// A data set (its test images; styles come from its shifted sets where it has some), a folder of image files, or image
    /// files: contents first, then styles.
    #[arg(long, required = true, num_args = 1..)]
    input: Vec<String>,
    /// The PNG file to write.
    #[arg(long)]
    output: PathBuf,
    /// Images whose content is kept: rows.
    #[arg(long, default_value_t = 4)]
    contents: usize,
    /// Images whose style is taken: columns.
    #[arg(long, default_value_t = 4)]
    styles: usize,
    /// What is cropped: neither, style (its statistics come from a box), content (only a box is restyled) or both; boxes are drawn as in training, one for all contents and one for all styles.
    #[arg(long, value_enum, hide_possible_values = true, default_value = "neither")]
    crop: Cropped,
    /// Seed of the images that are drawn from a data set or a folder, and of the boxes.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Side that images are brought to, but for small ones of one size.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Act at the end of a block of a trained network (block2.0: the first block of stage 2), and find images with such features.
    #[arg(long, value_name = "BLOCK", conflicts_with_all = ["crop", "size"])]
    site: Option<Block>,
    /// With --site, whose effect: crossnorm, or selfnorm (before the gate, after it, and the difference; no styles).
    #[arg(long, value_enum, hide_possible_values = true, default_value = "crossnorm", requires = "site")]
    layer: Effect,
    /// With --site, updates of the images.
    #[arg(long, default_value_t = 201, value_parser = clap::value_parser!(u64).range(1..), requires = "site")]
    steps: u64,
    /// With --site, how smooth images are to be.
    #[arg(long, value_name = "W", default_value_t = 1e-4, requires = "site")]
    smoothness: f64,
    #[command(flatten)]
    saved: Saved,
    /// Threads (default: all processors).
    #[arg(long)]
    threads: Option<usize>,
}

/// An image of the grid.
struct Picture {
    name: String,
    values: Vec<u8>,
}

impl Show {
    /// Runs the command.
    ///
    /// # Errors
    /// If there are too few images, one does not decode, or the picture cannot be written.
    pub fn run(&self) -> Result<()> {
        ensure!((1..=64).contains(&self.contents), "--contents is {}; 1 to 64 is accepted", self.contents);
        ensure!((1..=64).contains(&self.styles), "--styles is {}; 1 to 64 is accepted", self.styles);
        ensure!((2..=1024).contains(&self.size), "--size is {}; 2 to 1024 is accepted", self.size);
        cli::threads(self.threads)?;
        ensure!(
            self.smoothness.is_finite() && self.smoothness >= 0.,
            "--smoothness is {}; 0 or a positive number is accepted",
            self.smoothness
        );
        ensure!(
            self.site.is_some() || self.saved.folder().is_none(),
            "--run-dir and --checkpoint go with --site, the block whose features are changed"
        );
        let trained = self.site.map(|_| Trained::<Classify>::read(&self.saved)).transpose()?;
        let inside = trained.as_ref().zip(self.site);
        let descent = Descent { steps: self.steps as usize, ..Descent::default() };
        let loss = Inversion { variation_weight: self.smoothness, ..Inversion::default() };
        let inside = inside.map(|(trained, block)| Inside::new(trained, block, (loss, descent), self.seed));
        match &inside {
            Some(inside) if self.layer == Effect::Selfnorm => self.gates(inside),
            inside => self.styles(inside.as_ref()),
        }
    }

    /// Images from features before and after the gate.
    fn gates(&self, inside: &Inside<'_>) -> Result<()> {
        let (pictures, dims) = self.pictures(Some(inside.preprocessing()))?;
        let contents = &pictures[..self.contents];
        let values: Vec<Vec<u8>> = contents.iter().map(|picture| picture.values.clone()).collect();
        let columns = [vec![values.clone()], inside.selfnorm(&values)?.to_vec()].concat();
        let rows: Vec<String> = contents.iter().map(|picture| picture.name.clone()).collect();
        let headings = ["image", "before", "after", "difference"].map(str::to_string);
        let mut sheet = Sheet::new(dims, SIDE, &rows, &headings);
        for (column, images) in columns.into_iter().enumerate() {
            for (row, image) in images.into_iter().enumerate() {
                sheet.place(image, row, column)?;
            }
        }
        sheet.save(&self.output)?;
        out!("{}: SelfNorm at {}, images from features before and after it", self.output.display(), inside.describe());
        Ok(())
    }

    /// Contents in styles.
    fn styles(&self, inside: Option<&Inside<'_>>) -> Result<()> {
        let (pictures, dims) = self.pictures(inside.map(Inside::preprocessing))?;
        let (mixture, mut mixed) = match inside {
            None => self.mixed(&pictures, dims)?,
            Some(inside) => {
                let values: Vec<Vec<u8>> = pictures.iter().map(|picture| picture.values.clone()).collect();
                let (contents, styles) = values.split_at(self.contents);
                let draw = CrossNormDraw { partner: Vec::new(), channels: None, style: None, content: None, blend: None };
                let found = inside.crossnorm(contents, styles, &draw)?;
                (draw, found)
            }
        };
        if let Some(inside) = inside {
            let plain = mixed.remove(0);
            self.told(inside, &plain, &mixed, &pictures[self.contents..]);
        }
        let (contents, styles) = pictures.split_at(self.contents);
        let names = |pictures: &[Picture]| pictures.iter().map(|picture| picture.name.clone()).collect::<Vec<_>>();
        let headings = |what: &str, pictures: &[Picture]| [vec![what.to_string()], names(pictures)].concat();
        let mut sheet = Sheet::new(dims, SIDE, &headings("style", contents), &headings("content", styles));
        for (column, style) in (1..).zip(styles) {
            sheet.place(style.values.clone(), 0, column)?;
            mark(&mut sheet, mixture.style, 0, column, STYLE);
        }
        for (row, content) in (1..).zip(contents) {
            sheet.place(content.values.clone(), row, 0)?;
            mark(&mut sheet, mixture.content, row, 0, CONTENT);
        }
        for (column, images) in (1..).zip(mixed) {
            for (row, image) in (1..).zip(images) {
                sheet.place(image, row, column)?;
                mark(&mut sheet, mixture.content, row, column, CONTENT);
            }
        }
        sheet.save(&self.output)?;
        out!(
            "{}: contents (rows) {}; styles (columns) {}",
            self.output.display(),
            names(contents).join(", "),
            names(styles).join(", ")
        );
        for (what, window) in [("content box (orange)", mixture.content), ("style box (blue)", mixture.style)] {
            if let Some(BoundingBox { top, bottom, left, right }) = window {
                out!("{what}: rows {top} to {bottom}, columns {left} to {right}");
            }
        }
        Ok(())
    }

    /// How near the images come to the styles.
    fn told(&self, inside: &Inside<'_>, plain: &[Vec<u8>], mixed: &[Vec<Vec<u8>>], styles: &[Picture]) {
        let mean = |of: &dyn Fn(usize) -> f64| (0..styles.len()).map(of).sum::<f64>() / styles.len() as f64;
        let before = mean(&|style| style_distance(plain, &styles[style].values));
        let after = mean(&|style| style_distance(&mixed[style], &styles[style].values));
        out!(
            "{}: the distance of channel statistics (three means and three standard deviations of pixels in 0 to 1) to the style is \
             {before:.4} for images from the contents' own features, {after:.4} with CrossNorm there",
            inside.describe()
        );
    }

    /// Every content in every style, by style, clipped to what a picture can show.
    fn mixed(&self, pictures: &[Picture], dims: Dims) -> Result<(CrossNormDraw, Vec<Vec<Vec<u8>>>)> {
        let crop = match self.crop {
            Cropped::Neither => Crop::Neither,
            Cropped::Style => Crop::Style,
            Cropped::Content => Crop::Content,
            Cropped::Both => Crop::Both,
        };
        let config = CrossNormConfig { crop, ..Default::default() };
        let shape = (pictures.len(), dims.height, dims.width, 3);
        let drawn = CrossNormDraw::sample(&config, shape, &mut Seed::new(self.seed).named("show/boxes").rng())?;
        let values: Vec<f32> = pictures.iter().flat_map(|picture| &picture.values).map(|&byte| f32::from(byte) / 255.).collect();
        let xs = Tensor::from_vec(values, (pictures.len(), dims.height, dims.width, 3), &Device::Cpu)?;
        let styled = |style: usize| -> Result<Vec<Vec<u8>>> {
            let mixture = CrossNormDraw { partner: vec![self.contents + style; pictures.len()], ..drawn.clone() };
            let ys = mixture.forward(&xs, &Pass::eval())?.narrow(0, 0, self.contents)?;
            let ys: Vec<f32> = ys.flatten_all()?.to_vec1()?;
            let bytes = |image: &[f32]| image.iter().map(|value| (255. * value.clamp(0., 1.)).round() as u8).collect();
            Ok(ys.chunks_exact(dims.bytes()).map(bytes).collect())
        };
        let mixed = (0..self.styles).map(styled).collect::<Result<_>>()?;
        Ok((drawn, mixed))
    }

    /// The contents, then the styles, all of one size: that of a network where one is given.
    fn pictures(&self, network: Option<&Preprocessing>) -> Result<(Vec<Picture>, Dims)> {
        let wanted = self.contents + self.styles;
        let enough = |found: usize, of: &str| {
            let (contents, styles) = (self.contents, self.styles);
            ensure!(found >= wanted, "{of}: {found} images; {contents} contents and {styles} styles need {wanted}");
            Ok(())
        };
        let chosen = |count: usize| index::sample(&mut Seed::new(self.seed).named("show/images").rng(), count, wanted).into_vec();
        let files: Vec<PathBuf> = match self.input.as_slice() {
            [one] if Path::new(one).is_dir() => {
                let all = picture::given(&[PathBuf::from(one)], None)?;
                enough(all.len(), one)?;
                chosen(all.len()).into_iter().map(|index| all[index].0.clone()).collect()
            }
            [one] if !Path::new(one).is_file() => {
                crate::dataset::check_given(one)?;
                let splits = crate::dataset::open(one, &cli::data_dir(self.data_dir.as_deref()))?;
                let Some((_, clean)) = splits.test.first() else { bail!("{one}: no test images") };
                enough(clean.len(), one)?;
                let shifted: Vec<_> = splits.test.iter().skip(1).map(|(_, images)| images).collect();
                let taken = chosen(clean.len()).into_iter().enumerate().map(|(place, index)| {
                    let style = place.checked_sub(self.contents).filter(|_| !shifted.is_empty());
                    taken(style.map_or(&**clean, |style| &**shifted[style % shifted.len()]), index)
                });
                return self.of_one_size(taken.collect::<Result<_>>()?, network);
            }
            files => {
                enough(files.len(), "--input")?;
                ensure!(files.len() == wanted, "{} files, but --contents and --styles make {wanted}", files.len());
                files.iter().map(PathBuf::from).collect()
            }
        };
        let read = |path: &PathBuf| -> Result<(String, Photo)> {
            let name = path.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
            Ok((name, Photo::from(picture::read(path, Limit::default())?)))
        };
        self.of_one_size(files.iter().map(read).collect::<Result<_>>()?, network)
    }

    /// The images as they are where they have one size, or brought to that of the option.
    fn of_one_size(&self, photos: Vec<(String, Photo)>, network: Option<&Preprocessing>) -> Result<(Vec<Picture>, Dims)> {
        let first = photos.first().map_or(Dims::default(), |(_, photo)| photo.dims());
        let is_small =
            network.is_none() && first.height.max(first.width) <= SIDE && photos.iter().all(|(_, photo)| photo.dims() == first);
        let size = network.copied().unwrap_or(Preprocessing { size: self.size, resize: self.size, ..Default::default() });
        let fitted = |(name, photo): (String, Photo)| -> Result<Picture> {
            let mut fitted = Photo::default();
            let photo = if is_small { photo } else { size.fit(&photo, &mut fitted).map(|()| fitted)? };
            Ok(Picture { name, values: photo.into_bytes() })
        };
        let pictures = photos.into_iter().map(fitted).collect::<Result<_>>()?;
        Ok((pictures, if is_small { first } else { size.dims() }))
    }
}

/// One image of a data set, named after its class.
fn taken(images: &dyn Images, index: usize) -> Result<(String, Photo)> {
    let mut photo = Photo::default();
    let label = images.read(index, &mut photo)?;
    Ok((images.classes().get(label).cloned().unwrap_or_default(), photo))
}

fn mark(sheet: &mut Sheet, window: Option<BoundingBox>, row: usize, column: usize, colour: Rgb<u8>) {
    if let Some(window) = window {
        sheet.outline(window, row, column, colour);
    }
}

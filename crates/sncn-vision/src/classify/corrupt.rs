//! `sncn-classify corrupt`: a data set's test images or a folder of images, corrupted; or a contact sheet of everything.

use super::setup;
use crate::corruption::frost;
use crate::corruption::{self, CORRUPTIONS, Dims, Frost, Variant};
use crate::dataset::arrays::{CONTENTS, Contents};
use crate::dataset::npy::NpyWriter;
use crate::picture::{self, Sheet};
use anyhow::{Context, Result, bail, ensure};
use image::RgbImage;
use sncn_core::Seed;
use sncn_train::files::write_atomically;
use sncn_train::harness::cli;
use std::path::{Path, PathBuf};

/// Images corrupted at a time: memory does not grow with the data set.
const CHUNK: usize = 512;
/// Rows that an image has at least on a contact sheet.
const SIDE: usize = 64;

/// Severity table.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Severities {
    /// CIFAR-10-C (32 × 32).
    Cifar,
    /// ImageNet-C (224 × 224).
    Imagenet,
}

/// Write corrupted copies of a data set (.npy, laid out as CIFAR-10-C) or of a folder of images.
#[derive(clap::Args, Debug)]
pub struct Corrupt {
    /// A data set (its clean test images), or a folder of image files.
    #[arg(long)]
    input: String,
    /// Folder for the corrupted copies, or the PNG file of --sheet.
    #[arg(long)]
    output: PathBuf,
    /// Corruptions (default: the 15 of the benchmark).
    #[arg(long, value_delimiter = ',')]
    corruptions: Vec<String>,
    /// Severities, 1 to 5.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5])]
    severities: Vec<usize>,
    /// Which table of severities: cifar (of CIFAR-10-C, 32 × 32) or imagenet (of ImageNet-C, 224 × 224).
    #[arg(long, value_enum, hide_possible_values = true, default_value = "cifar")]
    variant: Severities,
    /// Write one contact sheet of all corruptions × severities of the first image instead.
    #[arg(long)]
    sheet: bool,
    /// Only the first images.
    #[arg(long)]
    limit: Option<usize>,
    /// Seed of the corruptions.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder that holds the data sets.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Folder of the frost photographs.
    #[arg(long)]
    frost_dir: Option<PathBuf>,
    /// Threads (default: all processors); the result does not depend on it.
    #[arg(long)]
    threads: Option<usize>,
}

impl Corrupt {
    /// Runs the command.
    ///
    /// # Errors
    /// If a name or severity is unknown, an image does not decode, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        let frost = frost::textures(self.frost_dir.as_deref())?;
        let names: Vec<&str> = match self.corruptions.as_slice() {
            [] if self.sheet => CORRUPTIONS.iter().map(|entry| entry.name).collect(),
            [] => corruption::benchmark().collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        for name in &names {
            for &severity in &self.severities {
                corruption::build(name, severity, self.variant(), &frost)?;
            }
        }
        if frost.is_generated() && names.contains(&"frost") {
            eprintln!("{}", frost::GENERATED);
        }
        let folder = Path::new(&self.input);
        if self.sheet {
            self.write_sheet(&names, &frost)
        } else if folder.is_dir() {
            self.folder(folder, &names, &frost)
        } else {
            self.data_set(&names, &frost)
        }
    }

    fn variant(&self) -> Variant {
        match self.variant {
            Severities::Cifar => Variant::Cifar,
            Severities::Imagenet => Variant::Imagenet,
        }
    }

    /// Every corruption of the test images as `<name>.npy`, severities one after another, and `labels.npy`.
    fn data_set(&self, names: &[&str], frost: &Frost) -> Result<()> {
        let splits = crate::dataset::open(&self.input, &cli::data_dir(self.data_dir.as_deref()))?;
        let Some((_, images)) = splits.test.first() else { bail!("{}: no test images", self.input) };
        let images = setup::limited(images, self.limit);
        let dims = Dims { height: images.height(), width: images.width() };
        let shape = [dims.height, dims.width, 3];
        std::fs::create_dir_all(&self.output).with_context(|| format!("{}: the folder cannot be made", self.output.display()))?;
        let bar = cli::progress(names.len() * self.severities.len() * images.len(), "corrupt");
        for name in names {
            let mut writer = NpyWriter::create(&self.output.join(format!("{name}.npy")), &shape)?;
            for &severity in &self.severities {
                let generator = corruption::build(name, severity, self.variant(), frost)?;
                for start in (0..images.len()).step_by(CHUNK) {
                    let count = CHUNK.min(images.len() - start);
                    let (mut clean, mut out) = (vec![0; count * dims.bytes()], vec![0; count * dims.bytes()]);
                    for (i, image) in clean.chunks_exact_mut(dims.bytes()).enumerate() {
                        images.read(start + i, image)?;
                    }
                    generator.apply_batch(&clean, dims, Seed::new(self.seed), start as u64, &mut out)?;
                    writer.write(&out)?;
                    bar.inc(count as u64);
                }
            }
            writer.finish()?;
        }
        let mut labels = NpyWriter::of_labels(&self.output.join("labels.npy"), images.classes().len())?;
        let mut scratch = vec![0; dims.bytes()];
        for _ in &self.severities {
            for index in 0..images.len() {
                labels.write_label(images.read(index, &mut scratch)?)?;
            }
        }
        labels.finish()?;
        let contents = Contents { severities: self.severities.clone(), images: images.len() };
        write_atomically(&self.output.join(CONTENTS), serde_json::to_string(&contents)?.as_bytes())?;
        bar.finish_and_clear();
        out!(
            "{}: {} corruptions × {} severities of {}",
            self.output.display(),
            names.len(),
            self.severities.len(),
            images.describe()
        );
        Ok(())
    }

    /// Every image file as `<output>/<corruption>/<severity>/<same relative path>.png`.
    fn folder(&self, folder: &Path, names: &[&str], frost: &Frost) -> Result<()> {
        let listing = picture::list(folder, Some(&self.output))?;
        listing.remark().into_iter().for_each(|remark| eprintln!("{}: {remark}", folder.display()));
        let mut files = listing.images;
        files.truncate(self.limit.unwrap_or(usize::MAX));
        let targets = targets(&files, folder);
        ensure!(!files.is_empty(), "{}: no image files ({})", folder.display(), picture::ENDINGS.join(", "));
        let bar = cli::progress(files.len() * names.len() * self.severities.len(), "corrupt");
        for (index, file) in files.iter().enumerate() {
            let image = picture::read(file)?;
            let dims = dims(&image);
            let image = image.into_raw();
            let relative = &targets[index];
            for name in names {
                for &severity in &self.severities {
                    let generator = corruption::build(name, severity, self.variant(), frost)?;
                    let mut out = vec![0; dims.bytes()];
                    generator.apply_one(&image, dims, Seed::new(self.seed), index as u64, &mut out)?;
                    let target = self.output.join(name).join(severity.to_string()).join(relative);
                    let out = RgbImage::from_raw(dims.width as u32, dims.height as u32, out).context("image size")?;
                    picture::save(&target, &out)?;
                    bar.inc(1);
                }
            }
        }
        bar.finish_and_clear();
        out!(
            "{}: {} images × {} corruptions × {} severities",
            self.output.display(),
            files.len(),
            names.len(),
            self.severities.len()
        );
        Ok(())
    }

    /// One picture: a row for each corruption, the clean image and then its severities.
    fn write_sheet(&self, names: &[&str], frost: &Frost) -> Result<()> {
        let path = Path::new(&self.input);
        let (image, dims) = if path.is_file() {
            let image = picture::read(path)?;
            let dims = dims(&image);
            (image.into_raw(), dims)
        } else {
            let splits = crate::dataset::open(&self.input, &cli::data_dir(self.data_dir.as_deref()))?;
            let Some((_, images)) = splits.test.first() else { bail!("{}: no test images", self.input) };
            let dims = Dims { height: images.height(), width: images.width() };
            let mut image = vec![0; dims.bytes()];
            images.read(0, &mut image)?;
            (image, dims)
        };
        let rows: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let severities = self.severities.iter().map(usize::to_string);
        let columns: Vec<String> = std::iter::once("clean".to_string()).chain(severities).collect();
        let mut sheet = Sheet::new(dims, SIDE, &rows, &columns);
        for (row, name) in names.iter().enumerate() {
            sheet.place(image.clone(), row, 0)?;
            for (column, &severity) in self.severities.iter().enumerate() {
                let mut out = vec![0; dims.bytes()];
                let generator = corruption::build(name, severity, self.variant(), frost)?;
                generator.apply_one(&image, dims, Seed::new(self.seed), 0, &mut out)?;
                sheet.place(out, row, column + 1)?;
            }
        }
        sheet.save(&self.output)?;
        out!("{}: rows {}", self.output.display(), names.join(", "));
        Ok(())
    }
}

fn dims(image: &RgbImage) -> Dims {
    Dims { height: image.height() as usize, width: image.width() as usize }
}

/// The paths of the corrupted copies below their folder: those of the files, with the ending `.png`; of files that differ in their
/// endings alone, all of the name is kept: `a.jpg.png`.
fn targets(files: &[PathBuf], folder: &Path) -> Vec<PathBuf> {
    let relative = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).to_path_buf();
    let mut counts = std::collections::BTreeMap::new();
    files.iter().for_each(|file| *counts.entry(relative(file).with_extension("png")).or_insert(0) += 1);
    let target = |file: &PathBuf| {
        let plain = relative(file).with_extension("png");
        match counts.get(&plain) {
            Some(1) => plain,
            _ => {
                let mut name = relative(file).into_os_string();
                name.push(".png");
                PathBuf::from(name)
            }
        }
    };
    files.iter().map(target).collect()
}

//! `sncn-classify corrupt`: a data set's test images or image files, corrupted; or a contact sheet of everything.

mod copies;
mod manifest;
mod sheet;
mod tables;

use super::setup;
use crate::corruption::frost::{self, Frost};
use crate::corruption::{self, CORRUPTIONS, Dims};
use crate::dataset::arrays::{CONTENTS, Contents};
use crate::dataset::npy::NpyWriter;
use crate::dataset::{self, Images};
use crate::picture::{self, Limit, Photo};
use anyhow::{Context, Result, bail, ensure};
use copies::Copies;
pub(crate) use manifest::{AUTO, Manifest};
use sheet::Contact;
use sncn_core::Seed;
use sncn_train::files::write_atomically;
use sncn_train::harness::{cli, provenance};
use std::path::PathBuf;
use std::sync::Arc;
use tables::{Severities, Tables};

/// Images corrupted at a time: memory does not grow with the data set.
const CHUNK: usize = 512;

/// Write corrupted copies of a data set (.npy, laid out as CIFAR-10-C), of a folder of images or of an image file.
#[derive(clap::Args, Debug)]
pub struct Corrupt {
    /// A data set (its clean test images), a folder of image files, or an image file.
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
    /// Which table of severities: cifar (of CIFAR-10-C, 32 × 32), imagenet (of ImageNet-C, 224 × 224), or auto: cifar's where the shorter
    /// side of an image has up to 64 pixels, imagenet's above.
    #[arg(long, value_enum, hide_possible_values = true, default_value = "auto")]
    variant: Severities,
    /// Write one contact sheet of all corruptions × severities of the first image instead.
    #[arg(long)]
    sheet: bool,
    /// How many pixels the sheet has at most from left to right; larger images are made smaller on it.
    #[arg(long, default_value_t = 2000)]
    sheet_width: usize,
    #[command(flatten)]
    limit_pixels: Limit,
    /// Copy image files as they are too, into the folder clean, for `robustness`.
    #[arg(long, conflicts_with = "sheet")]
    clean: bool,
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
        ensure!((200..=20_000).contains(&self.sheet_width), "--sheet-width is {}; 200 to 20000 is accepted", self.sheet_width);
        let names: Vec<&str> = match self.corruptions.as_slice() {
            [] if self.sheet => CORRUPTIONS.iter().map(|entry| entry.name).collect(),
            [] => corruption::benchmark().collect(),
            names => names.iter().map(String::as_str).collect(),
        };
        let frost = frost::textures(self.frost_dir.as_deref())?;
        let tables = Tables::new(self.variant, &names, &self.severities, &frost)?;
        let input = PathBuf::from(&self.input);
        dataset::check_given(&self.input)?;
        if frost.is_generated() && names.contains(&"frost") {
            eprintln!("{}", frost::GENERATED);
        }
        let files = if input.exists() { picture::given(&[input], Some(&self.output))? } else { Vec::new() };
        match files.first() {
            Some((first, _)) if self.sheet => {
                let image = picture::read(first, self.limit_pixels)?;
                let dims = Dims { height: image.height() as usize, width: image.width() as usize };
                self.write_sheet(image.into_raw(), dims, &names, &tables)
            }
            Some(_) => self.write_files(files, &names, &tables, &frost),
            None if self.sheet => {
                let mut photo = Photo::default();
                self.data_set()?.read(0, &mut photo)?;
                let dims = photo.dims();
                self.write_sheet(photo.into_bytes(), dims, &names, &tables)
            }
            None if self.clean => bail!("--clean: {} has arrays and no image files; name a folder of images", self.input),
            None => self.write_arrays(&names, &tables),
        }
    }

    /// The clean test images of the data set.
    fn data_set(&self) -> Result<Arc<dyn Images>> {
        let splits = dataset::open(&self.input, &cli::data_dir(self.data_dir.as_deref()))?;
        let Some((_, images)) = splits.test.into_iter().next() else { bail!("{}: no test images", self.input) };
        Ok(images)
    }

    /// Every corruption of the test images as `<name>.npy`, severities one after another, and `labels.npy`.
    fn write_arrays(&self, names: &[&str], tables: &Tables<'_>) -> Result<()> {
        let images = setup::limited(&self.data_set()?, self.limit);
        let dims = images.dims().with_context(|| {
            format!("{}: its images have sizes of their own: give the folder that they are in as --input", images.describe())
        })?;
        let (shape, generators) = ([dims.height, dims.width, 3], tables.of(dims)?);
        tables.count(dims);
        std::fs::create_dir_all(&self.output).with_context(|| format!("{}: the folder cannot be made", self.output.display()))?;
        let bar = cli::progress(names.len() * self.severities.len() * images.len(), "corrupt");
        let mut photo = Photo::default();
        for (name, generators) in names.iter().zip(generators.chunks(self.severities.len().max(1))) {
            let mut writer = NpyWriter::create(&self.output.join(format!("{name}.npy")), &shape)?;
            for generator in generators {
                for start in (0..images.len()).step_by(CHUNK) {
                    let count = CHUNK.min(images.len() - start);
                    let (mut clean, mut out) = (Vec::with_capacity(count * dims.bytes()), vec![0; count * dims.bytes()]);
                    for index in start..start + count {
                        images.read(index, &mut photo)?;
                        clean.extend_from_slice(photo.bytes());
                    }
                    generator.apply_batch(&clean, dims, Seed::new(self.seed), start as u64, &mut out)?;
                    writer.write(&out)?;
                    bar.inc(count as u64);
                }
            }
            writer.finish()?;
        }
        let mut labels = NpyWriter::of_labels(&self.output.join("labels.npy"), images.classes().len())?;
        for _ in &self.severities {
            for index in 0..images.len() {
                labels.write_label(images.label(index)?)?;
            }
        }
        labels.finish()?;
        let contents = Contents { severities: self.severities.clone(), images: images.len() };
        write_atomically(&self.output.join(CONTENTS), serde_json::to_string(&contents)?.as_bytes())?;
        bar.finish_and_clear();
        out!(
            "{}: {} corruptions × {} severities of {}; {}",
            self.output.display(),
            names.len(),
            self.severities.len(),
            images.describe(),
            tables.said()
        );
        Ok(())
    }

    /// Every image file as `<output>/<corruption>/<severity>/<same relative path>.png`, and what they are.
    fn write_files(&self, mut files: Vec<(PathBuf, PathBuf)>, names: &[&str], tables: &Tables<'_>, frost: &Frost) -> Result<()> {
        files.truncate(self.limit.unwrap_or(usize::MAX));
        let (seed, limit) = (Seed::new(self.seed), self.limit_pixels);
        let copies = Copies { files: &files, tables, seed, limit, clean: self.clean, output: &self.output };
        let bar = cli::progress(files.len() * copies.each(), "corrupt");
        let (stems, sha256) = copies.write(|| bar.inc(1))?;
        bar.finish_and_clear();
        let name = PathBuf::from(&self.input);
        let manifest = Manifest {
            format: manifest::FORMAT,
            input: name.file_name().map_or(self.input.clone(), |name| name.to_string_lossy().into_owned()),
            images: files.len(),
            sha256,
            corruptions: names.iter().map(ToString::to_string).collect(),
            severities: self.severities.clone(),
            severity_table: self.variant.name().to_string(),
            frost: frost.origin().to_string(),
            seed: self.seed,
            clean: self.clean,
            built: provenance::built(),
        };
        manifest.write(&self.output, &stems)?;
        out!(
            "{}: {} images × {} corruptions × {} severities; {}",
            self.output.display(),
            files.len(),
            names.len(),
            self.severities.len(),
            tables.said()
        );
        Ok(())
    }

    fn write_sheet(&self, image: Vec<u8>, dims: Dims, names: &[&str], tables: &Tables<'_>) -> Result<()> {
        let contact = Contact { image, dims, width: self.sheet_width, seed: Seed::new(self.seed) };
        tables.count(dims);
        contact.write(names, &self.severities, tables.of(dims)?, &self.output)?;
        out!("{}: rows {}; {}", self.output.display(), names.join(", "), tables.said());
        Ok(())
    }
}

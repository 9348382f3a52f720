//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the publishers' binary layout.
//!
//! Records of label bytes (one; coarse and fine for CIFAR-100) and 3072 bytes, three planes of 32 × 32.

use super::{Images, Source, Splits};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;

/// The layout of one of the two sets.
struct Layout {
    name: &'static str,
    folder: &'static str,
    names: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    labels: usize,
    classes: usize,
}

const CIFAR_10: Layout = Layout {
    name: "cifar10",
    folder: "cifar-10-batches-bin",
    names: "batches.meta.txt",
    train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
    test: "test_batch.bin",
    labels: 1,
    classes: 10,
};

const CIFAR_100: Layout = Layout {
    name: "cifar100",
    folder: "cifar-100-binary",
    names: "fine_label_names.txt",
    train: &["train.bin"],
    test: "test.bin",
    labels: 2,
    classes: 100,
};

/// Opens CIFAR-10.
///
/// # Errors
/// Where a file is missing, truncated or of another set.
pub fn open_10(source: &Source) -> Result<Splits> {
    open(&CIFAR_10, source)
}

/// Opens CIFAR-100 with its fine labels.
///
/// # Errors
/// Where a file is missing, truncated or of another set.
pub fn open_100(source: &Source) -> Result<Splits> {
    open(&CIFAR_100, source)
}

fn open(layout: &Layout, source: &Source) -> Result<Splits> {
    let given = source.folder(layout.name)?;
    ensure!(given.is_dir(), "{}: no such folder; {} is looked for in it", given.display(), layout.folder);
    let inside = given.join(layout.folder);
    let folder = if inside.is_dir() { inside } else { given };
    let names = folder.join(layout.names);
    let text = std::fs::read_to_string(&names).with_context(|| {
        format!(
            "{}: not readable; {} wants the publishers' binary layout ({}, or its parent folder)",
            names.display(),
            layout.name,
            layout.folder
        )
    })?;
    let classes: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect();
    ensure!(classes.len() == layout.classes, "{}: {} class names, {} are wanted", names.display(), classes.len(), layout.classes);
    let classes: Arc<[String]> = classes.into();
    let train: Vec<PathBuf> = layout.train.iter().map(|file| folder.join(file)).collect();
    let train = Arc::new(Cifar::read(layout, &train, classes.clone())?);
    let test = Arc::new(Cifar::read(layout, &[folder.join(layout.test)], classes)?);
    Ok(Splits { train, test: vec![(layout.name.to_string(), test)] })
}

/// One split, in memory.
pub struct Cifar {
    bytes: Vec<u8>,
    labels: usize,
    classes: Arc<[String]>,
    described: String,
}

impl Cifar {
    fn read(layout: &Layout, files: &[PathBuf], classes: Arc<[String]>) -> Result<Self> {
        let record = layout.labels + 3 * PIXELS;
        let mut bytes = Vec::new();
        for file in files {
            let at = bytes.len();
            bytes.extend(
                std::fs::read(file).with_context(|| format!("{}: not readable; {} needs it", file.display(), layout.name))?,
            );
            check(&bytes[at..], record, layout, file)?;
        }
        let described = format!("{} ({} images, {})", layout.name, bytes.len() / record, files[0].with_file_name("").display());
        Ok(Self { bytes, labels: layout.labels, classes, described })
    }

    fn record(&self) -> usize {
        self.labels + 3 * PIXELS
    }
}

fn check(bytes: &[u8], record: usize, layout: &Layout, file: &Path) -> Result<()> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
        bail!(
            "{}: {} bytes are not a whole number of {} records ({record} bytes each): truncated, or of another set; fetch it again",
            file.display(),
            bytes.len(),
            layout.name
        )
    }
    let wrong = bytes.chunks_exact(record).position(|record| usize::from(record[layout.labels - 1]) >= layout.classes);
    match wrong {
        Some(index) => bail!(
            "{}: record {index} has label {}; 0 to {} is accepted: of another set, or damaged",
            file.display(),
            bytes[index * record + layout.labels - 1],
            layout.classes - 1
        ),
        None => Ok(()),
    }
}

impl Images for Cifar {
    fn len(&self) -> usize {
        self.bytes.len() / self.record()
    }

    fn height(&self) -> usize {
        SIDE
    }

    fn width(&self) -> usize {
        SIDE
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn read(&self, index: usize, out: &mut [u8]) -> Result<usize> {
        let Some(record) = self.bytes.chunks_exact(self.record()).nth(index) else { bail!("image {index} of {}", self.len()) };
        let planes = &record[self.labels..];
        ensure!(out.len() == 3 * PIXELS, "{} bytes for an image of {}", out.len(), 3 * PIXELS);
        for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[planes[i], planes[PIXELS + i], planes[2 * PIXELS + i]]);
        }
        Ok(usize::from(record[self.labels - 1]))
    }

    fn describe(&self) -> String {
        self.described.clone()
    }
}

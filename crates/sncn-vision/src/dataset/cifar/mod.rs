//! CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the publishers' binary and python layouts.
//!
//! A record has label bytes (one; coarse and fine for CIFAR-100) and 3072 pixel bytes, three planes of 32 × 32.

mod python;

use super::DataDir;
use super::images::{Images, Splits};
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Error, Result, bail, ensure};
use sncn_train::text_file;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE;

/// One of the two data sets.
struct Set {
    name: &'static str,
    /// The folder of its corrupted test images.
    corrupted: &'static str,
    /// Label bytes of a record; the last one is used.
    labels: usize,
    classes: usize,
    layouts: [Layout; 2],
}

impl Set {
    /// The records of a file with these bytes.
    fn records(&self, layout: &Layout, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let bytes = match layout.keys {
            Some((_, key)) => python::records(&bytes, key, self.labels, 3 * PIXELS)?,
            None => bytes,
        };
        let record = self.labels + 3 * PIXELS;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            bail!(
                "{} bytes are not a whole number of {} records ({record} bytes each): truncated, or of another data set; fetch it again",
                bytes.len(),
                self.name
            )
        }
        let labels = bytes.chunks_exact(record).map(|record| record[self.labels - 1]);
        match labels.enumerate().find(|(_, label)| usize::from(*label) >= self.classes) {
            Some((index, label)) => {
                bail!("record {index} has label {label}; 0 to {} is accepted: of another data set, or damaged", self.classes - 1)
            }
            None => Ok(bytes),
        }
    }
}

/// The files of a layout.
struct Layout {
    folder: &'static str,
    names: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// Keys of class names and labels if the files are pickles.
    keys: Option<(&'static str, &'static str)>,
}

impl Layout {
    /// The class names in the bytes of the file of names.
    fn class_names(&self, bytes: &[u8]) -> Result<Vec<String>> {
        if let Some((key, _)) = self.keys {
            return python::names(bytes, key);
        }
        let text = text_file::lines(bytes.to_vec()).map_err(Error::msg)?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect())
    }
}

const CIFAR_10: Set = Set {
    name: "cifar10",
    corrupted: "CIFAR-10-C",
    labels: 1,
    classes: 10,
    layouts: [
        Layout {
            folder: "cifar-10-batches-bin",
            names: "batches.meta.txt",
            train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
            test: "test_batch.bin",
            keys: None,
        },
        Layout {
            folder: "cifar-10-batches-py",
            names: "batches.meta",
            train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
            test: "test_batch",
            keys: Some(("label_names", "labels")),
        },
    ],
};

const CIFAR_100: Set = Set {
    name: "cifar100",
    corrupted: "CIFAR-100-C",
    labels: 2,
    classes: 100,
    layouts: [
        Layout { folder: "cifar-100-binary", names: "fine_label_names.txt", train: &["train.bin"], test: "test.bin", keys: None },
        Layout {
            folder: "cifar-100-python",
            names: "meta",
            train: &["train"],
            test: "test",
            keys: Some(("fine_label_names", "fine_labels")),
        },
    ],
};

/// Opens CIFAR-10.
///
/// # Errors
/// If a file is missing, truncated or of another data set.
pub(crate) fn open_10(data_dir: &DataDir) -> Result<Splits> {
    open(&CIFAR_10, data_dir)
}

/// Opens CIFAR-100 with its fine labels.
///
/// # Errors
/// If a file is missing, truncated or of another data set.
pub(crate) fn open_100(data_dir: &DataDir) -> Result<Splits> {
    open(&CIFAR_100, data_dir)
}

fn open(set: &Set, data_dir: &DataDir) -> Result<Splits> {
    let given = data_dir.folder(set.name)?;
    let [binary, python] = &set.layouts;
    let (layout, folder) = find(set, &given).with_context(|| {
        let what = if given.is_dir() { "not in this folder" } else { "no such folder" };
        format!(
            "{}: {what}; {} needs {} (with {}) or {} (with {}) in it, or that folder itself",
            given.display(),
            set.name,
            binary.folder,
            binary.names,
            python.folder,
            python.names
        )
    })?;
    let names = folder.join(layout.names);
    let text = std::fs::read(&names).with_context(|| format!("{}: not readable", names.display()))?;
    let classes = layout.class_names(&text).with_context(|| names.display().to_string())?;
    ensure!(classes.len() == set.classes, "{}: {} class names; expected {}", names.display(), classes.len(), set.classes);
    let classes: Arc<[String]> = classes.into();
    let train: Vec<PathBuf> = layout.train.iter().map(|file| folder.join(file)).collect();
    let train = Arc::new(Cifar::read(set, layout, &train, classes.clone())?);
    let test = Arc::new(Cifar::read(set, layout, &[folder.join(layout.test)], classes)?);
    Ok(Splits::new(train, vec![(set.name.to_string(), test)], set.corrupted))
}

/// The layout that is found in `given`, or in the layout's own folder below it.
fn find<'a>(set: &'a Set, given: &Path) -> Option<(&'a Layout, PathBuf)> {
    let folders = |layout: &Layout| [given.join(layout.folder), given.to_path_buf()];
    let mut found = set.layouts.iter().flat_map(|layout| folders(layout).map(|folder| (layout, folder)));
    found.find(|(layout, folder)| folder.join(layout.names).is_file())
}

/// One split, in memory.
pub struct Cifar {
    bytes: Vec<u8>,
    labels: usize,
    classes: Arc<[String]>,
    described: String,
}

impl Cifar {
    /// Reads one file of images from its bytes: of CIFAR-100 if `hundred`, else CIFAR-10; in the Python layout if `python`, else
    /// in the binary one.
    ///
    /// # Errors
    /// If the bytes are truncated, damaged or of another data set.
    pub fn from_bytes(hundred: bool, python: bool, bytes: Vec<u8>) -> Result<Self> {
        let set = if hundred { &CIFAR_100 } else { &CIFAR_10 };
        let bytes = set.records(&set.layouts[usize::from(python)], bytes)?;
        let classes = (0..set.classes).map(|class| class.to_string()).collect();
        Ok(Self { bytes, labels: set.labels, classes, described: set.name.to_string() })
    }

    fn read(set: &Set, layout: &Layout, files: &[PathBuf], classes: Arc<[String]>) -> Result<Self> {
        let record = set.labels + 3 * PIXELS;
        let mut bytes = Vec::new();
        for file in files {
            let read = std::fs::read(file).with_context(|| format!("{}: not readable; {} needs it", file.display(), set.name))?;
            bytes.extend(set.records(layout, read).with_context(|| file.display().to_string())?);
        }
        let described = format!("{} ({} images, {})", set.name, bytes.len() / record, files[0].with_file_name("").display());
        Ok(Self { bytes, labels: set.labels, classes, described })
    }

    fn record(&self) -> usize {
        self.labels + 3 * PIXELS
    }

    /// The labels and pixels of an image.
    fn image(&self, index: usize) -> Result<&[u8]> {
        let record = self.bytes.chunks_exact(self.record()).nth(index);
        record.with_context(|| format!("image {index} of {}", self.len()))
    }
}

impl Images for Cifar {
    fn len(&self) -> usize {
        self.bytes.len() / self.record()
    }

    fn dims(&self) -> Option<Dims> {
        Some(Dims::square(SIDE))
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<usize> {
        Ok(usize::from(self.image(index)?[self.labels - 1]))
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        let record = self.image(index)?;
        let planes = &record[self.labels..];
        for (i, pixel) in out.reset(Dims::square(SIDE)).chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[planes[i], planes[PIXELS + i], planes[2 * PIXELS + i]]);
        }
        Ok(usize::from(record[self.labels - 1]))
    }

    fn describe(&self) -> String {
        self.described.clone()
    }
}

#[cfg(test)]
mod tests;

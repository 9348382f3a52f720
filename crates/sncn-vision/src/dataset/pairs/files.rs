//! `FilePairs`: images and labels in files.

use super::labels;
use super::legend::Legend;
use super::pair::{Pair, Pairs};
use crate::picture;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// An image file with its label file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The image.
    pub image: PathBuf,
    /// Its labels, a PNG.
    pub labels: PathBuf,
}

/// Pairs of files with one class list.
#[derive(Clone)]
pub struct FilePairs {
    files: Vec<Files>,
    legend: Legend,
    describe: String,
}

impl FilePairs {
    /// These files; `what` is what they are.
    pub fn new(files: Vec<Files>, legend: Legend, what: &str) -> Self {
        let describe = format!("{what} ({} images, {} classes)", files.len(), legend.classes.len());
        Self { files, legend, describe }
    }

    /// The images of `<folder>/images`, by name, each with the file of its name in `<folder>/labels`.
    ///
    /// # Errors
    /// Where a folder is missing or empty, or a file has no partner.
    pub fn of_folder(folder: &Path) -> Result<Vec<Files>> {
        let images = picture::files(&folder.join("images"))?;
        ensure!(!images.is_empty(), "{}: no images; images/ and labels/ with files of one name are wanted", folder.display());
        let beside = folder.join("labels");
        let partner = |image: PathBuf| {
            let name = image.strip_prefix(folder.join("images")).unwrap_or(&image).with_extension("png");
            let labels = beside.join(name);
            match labels.is_file() {
                true => Ok(Files { image, labels }),
                false => bail!("{}: its label file {} is missing", image.display(), labels.display()),
            }
        };
        let pairs = images.into_iter().map(partner).collect::<Result<Vec<_>>>()?;
        let all = picture::files(&beside)?;
        if let Some(lone) = all.iter().find(|file| !pairs.iter().any(|pair| pair.labels == **file)) {
            bail!("{}: no image of that name is in {}", lone.display(), folder.join("images").display())
        }
        Ok(pairs)
    }
}

impl Pairs for FilePairs {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn legend(&self) -> &Legend {
        &self.legend
    }

    fn read(&self, index: usize) -> Result<Pair> {
        let files = self.files.get(index).with_context(|| format!("image {index} of {}", self.len()))?;
        let image = picture::read(&files.image)?;
        let at = || files.labels.display().to_string();
        let bytes = std::fs::read(&files.labels).with_context(at)?;
        let (height, width, labels) = labels::decode(&bytes, &self.legend).with_context(at)?;
        ensure!(
            (image.height() as usize, image.width() as usize) == (height, width),
            "{} has {} × {} pixels, its labels {} have {width} × {height}: both must have one size",
            files.image.display(),
            image.width(),
            image.height(),
            files.labels.display()
        );
        Ok(Pair { height, width, image: image.into_raw(), labels })
    }

    fn name(&self, index: usize) -> String {
        let stem = self.files.get(index).and_then(|files| files.image.file_stem());
        stem.map_or_else(|| index.to_string(), |stem| stem.to_string_lossy().into_owned())
    }

    fn describe(&self) -> String {
        self.describe.clone()
    }
}

/// The folder of a data set that users get from its publisher.
///
/// # Errors
/// Where it is not there; says where it comes from and what is looked for.
pub(super) fn from_publisher(folder: PathBuf, parts: &str, homepage: &str) -> Result<PathBuf> {
    if !folder.is_dir() {
        bail!("{}: not there; get the data set from {homepage}, so that {parts} are in this folder", folder.display())
    }
    Ok(folder)
}

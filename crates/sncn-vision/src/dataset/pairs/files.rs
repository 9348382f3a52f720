//! `FilePairs`: images with label files.

use super::labels;
use super::legend::Legend;
use super::pair::{Pair, Pairs};
use crate::picture::{self, Limit};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// An image file with its label file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePair {
    /// The image file.
    pub image: PathBuf,
    /// The label file, a PNG.
    pub labels: PathBuf,
}

/// Images with label files and one legend.
#[derive(Clone)]
pub(crate) struct FilePairs {
    files: Vec<FilePair>,
    legend: Legend,
    describe: String,
}

impl FilePairs {
    /// A data set of these files; `what` describes them.
    pub(crate) fn new(files: Vec<FilePair>, legend: Legend, what: &str) -> Self {
        let describe = format!("{what} ({} images, {} classes)", files.len(), legend.classes.len());
        Self { files, legend, describe }
    }

    /// Lists the images in `<folder>/images`, sorted by name, each with the file of the same name in `<folder>/labels`.
    ///
    /// # Errors
    /// If a folder is missing or empty, or an image has no labels or labels no image.
    pub(crate) fn of_folder(folder: &Path) -> Result<Vec<FilePair>> {
        let images = picture::list(&folder.join("images"), None)?.images;
        ensure!(!images.is_empty(), "{}: no images; expected images/ and labels/ with files of the same names", folder.display());
        let beside = folder.join("labels");
        let partner = |image: PathBuf| {
            let name = image.strip_prefix(folder.join("images")).unwrap_or(&image).with_extension("png");
            let labels = beside.join(name);
            match labels.is_file() {
                true => Ok(FilePair { image, labels }),
                false => bail!("{}: its label file {} is missing", image.display(), labels.display()),
            }
        };
        let pairs = images.into_iter().map(partner).collect::<Result<Vec<_>>>()?;
        let all = picture::list(&beside, None)?.images;
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
        let image = picture::read(&files.image, Limit::default())?;
        let at = || files.labels.display().to_string();
        let bytes = std::fs::read(&files.labels).with_context(at)?;
        let (height, width, labels) = labels::decode(&bytes, &self.legend).with_context(at)?;
        ensure!(
            (image.height() as usize, image.width() as usize) == (height, width),
            "{} has {} × {} pixels, its labels {} have {width} × {height}: both must have the same size",
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

/// Checks that the folder of a data set from a publisher exists; otherwise the error says where to get the data set and which
/// `parts` must be in the folder.
pub(super) fn from_publisher(folder: PathBuf, parts: &str, homepage: &str) -> Result<PathBuf> {
    if !folder.is_dir() {
        bail!("{}: no such folder; get the data set from {homepage}, so that {parts} are in this folder", folder.display())
    }
    Ok(folder)
}

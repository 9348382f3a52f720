//! `FilePairs`: images with label files.

use super::labels::Labels;
use super::layout::{FILE, Layout, Naming};
use super::legend::Legend;
use super::pair::{Pair, Pairs};
use crate::picture::{self, Limit, Stored};
use anyhow::{Context, Result, bail, ensure};
use image::metadata::Orientation;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An image file with its label file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilePair {
    /// The image file.
    pub image: PathBuf,
    /// The label file.
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

    /// Lists the images in `<folder>/images`, sorted by name, each with its file in `<folder>/labels`, and a remark where these are named
    /// in another way than the images.
    ///
    /// # Errors
    /// If a folder is missing or empty, or an image has no labels or two, or labels no image.
    pub(crate) fn of_folder(folder: &Path, layout: &Layout) -> Result<(Vec<FilePair>, Option<String>)> {
        let [inside, beside] = ["images", "labels"].map(|name| folder.join(name));
        let images = picture::list(&inside, None)?.images;
        ensure!(!images.is_empty(), "{}: no images; expected images/ and labels/ with files of the same names", folder.display());
        let all = picture::list(&beside, None)?.images;
        let mut labels: BTreeMap<PathBuf, Vec<&PathBuf>> = BTreeMap::new();
        for file in &all {
            labels.entry(file.strip_prefix(&beside).unwrap_or(file).with_extension("")).or_default().push(file);
        }
        let key = |image: &Path, naming: &Naming| naming.of(image.strip_prefix(&inside).unwrap_or(image));
        let found = |naming: &Naming| images.iter().filter(|image| labels.contains_key(&key(image, naming))).count();
        let mut counted: Vec<_> = Naming::all(layout).into_iter().map(|naming| (found(&naming), naming)).collect();
        // the naming that fits the most images, the first of these
        counted.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let (_, naming) = counted.into_iter().next().context("no way to name label files")?;
        let partner = |image: &PathBuf| match labels.get(&key(image, &naming)).map(Vec::as_slice) {
            Some([one]) => Ok(FilePair { image: image.clone(), labels: (*one).clone() }),
            Some([one, other, ..]) => bail!("{}: two label files, {} and {}", image.display(), one.display(), other.display()),
            _ => {
                let labels = picture::with_ending(&beside.join(key(image, &naming)), ".png");
                bail!(
                    "{}: its label file {} is missing (where they are named in another way, {FILE} beside classes.txt says so:                      {{\"suffix\": \"_mask\"}})",
                    image.display(),
                    labels.display()
                )
            }
        };
        let pairs = images.iter().map(partner).collect::<Result<Vec<_>>>()?;
        let taken: BTreeSet<&Path> = pairs.iter().map(|pair| pair.labels.as_path()).collect();
        if let Some(lone) = all.iter().find(|file| !taken.contains(file.as_path())) {
            bail!("{}: no image of that name is in {}", lone.display(), inside.display())
        }
        Ok((pairs, naming.remark()))
    }

    /// The labels of a pair, as their file stores them.
    fn labels(&self, files: &FilePair) -> Result<Labels> {
        let bytes = std::fs::read(&files.labels).with_context(|| format!("{}: not readable", files.labels.display()))?;
        Labels::stored(&bytes, &self.legend).with_context(|| files.labels.display().to_string())
    }

    fn files(&self, index: usize) -> Result<&FilePair> {
        self.files.get(index).with_context(|| format!("image {index} of {}", self.len()))
    }
}

impl Pairs for FilePairs {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn legend(&self) -> &Legend {
        &self.legend
    }

    /// Labels are those of the image as it is seen, after it is turned as its camera noted. A label file that notes an orientation of its
    /// own is turned by that; one that fits the image only as it is stored is turned with it.
    fn read(&self, index: usize) -> Result<Pair> {
        let files = self.files(index)?;
        let stored = Stored::open(&files.image, Limit::default())?;
        let (orientation, before) = (stored.orientation, (stored.image.height() as usize, stored.image.width() as usize));
        let image = stored.turned().into_rgb8();
        let (height, width) = (image.height() as usize, image.width() as usize);
        let labels = self.labels(files)?;
        let (own, size) = (labels.orientation, (labels.height, labels.width));
        let labels = match own {
            Orientation::NoTransforms if size != (height, width) && size == before => labels.turned(orientation)?,
            own => labels.turned(own)?,
        };
        ensure!(
            (labels.height, labels.width) == (height, width),
            "{} has {width} × {height} pixels, its labels {} have {} × {}: both must have the same size",
            files.image.display(),
            files.labels.display(),
            labels.width,
            labels.height
        );
        Ok(Pair { height, width, image: image.into_raw(), labels: labels.classes })
    }

    fn label_file(&self, index: usize) -> Result<Option<Vec<u8>>> {
        Ok(Some(self.labels(self.files(index)?)?.classes))
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

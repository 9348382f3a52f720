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
                    "{}: its label file {} is missing (where they are named in another way, {FILE} beside classes.txt says so: {{\"suffix\": \"_mask\"}})",
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

    fn size(&self, index: usize) -> Result<(usize, usize)> {
        picture::size(&self.files(index)?.image, Limit::default())
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

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{GrayImage, ImageEncoder, Luma, RgbImage};

    /// A folder of these images and label files, whose content does not matter.
    fn folder(images: &[&str], labels: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (what, names) in [("images", images), ("labels", labels)] {
            std::fs::create_dir_all(folder.path().join(what)).unwrap();
            names.iter().for_each(|name| std::fs::write(folder.path().join(what).join(name), "").unwrap());
        }
        folder
    }

    #[test]
    fn label_files_are_found_by_the_names_that_all_of_them_have() {
        let layout = |suffix: &str| Layout { suffix: Some(suffix.to_string()), ..Layout::default() };
        let found = |images: &[&str], labels: &[&str], layout: &Layout| {
            let folder = folder(images, labels);
            FilePairs::of_folder(folder.path(), layout).map(|(pairs, remark)| {
                let names = pairs.iter().map(|pair| pair.labels.file_name().unwrap().to_string_lossy().into_owned());
                (names.collect::<Vec<_>>(), remark.unwrap_or_default())
            })
        };
        let usual = Layout::default();
        let (names, remark) = found(&["a.jpg", "b.1.JPEG"], &["a.PNG", "b.1.tif"], &usual).unwrap();
        assert_eq!((names, remark.as_str()), (vec!["a.PNG".to_string(), "b.1.tif".to_string()], ""));
        let (names, remark) = found(&["a.jpg", "b.jpg"], &["a_mask.png", "b_mask.png"], &usual).unwrap();
        assert_eq!((names.len(), remark.as_str()), (2, "labels of a.jpg are a_mask.png"));
        assert_eq!(found(&["a.jpg"], &["a.jpg.png"], &usual).unwrap().1, "labels of a.jpg are a.jpg.png");
        assert!(found(&["a.jpg"], &["a-own.png"], &layout("-own")).is_ok());
        for (images, labels, suffix, words) in [
            (&["a.jpg", "b.jpg"][..], &["a_mask.png", "b_gt.png"][..], None, ["b.jpg", "b_mask.png is missing"]),
            (&["a.jpg"], &["a.png"], Some("_x"), ["a_x.png is missing", "labels.json"]),
            (&["a.jpg"], &["a.png", "a.bmp"], None, ["two label files", "a.bmp"]),
            (&["a.jpg"], &["a.png", "c.png"], None, ["c.png", "no image of that name"]),
        ] {
            let error = found(images, labels, &suffix.map_or(usual.clone(), layout)).unwrap_err().to_string();
            words.iter().for_each(|word| assert!(error.contains(word), "{word} is not in {error}"));
        }
    }

    /// EXIF of one entry, the orientation.
    fn noted(orientation: u8) -> Vec<u8> {
        let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        exif
    }

    /// The labels of a photograph stored as 24 × 16 pixels with that orientation, and of a label file.
    fn labels(orientation: u8, labels: &GrayImage, own: Option<u8>) -> Result<(usize, usize, Vec<u8>)> {
        let folder = folder(&[], &[]);
        let pair = FilePair { image: folder.path().join("a.jpg"), labels: folder.path().join("a.png") };
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(noted(orientation))?;
        encoder.write_image(RgbImage::new(24, 16).as_raw(), 24, 16, image::ExtendedColorType::Rgb8)?;
        std::fs::write(&pair.image, bytes)?;
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        if let Some(own) = own {
            encoder.set_exif_metadata(noted(own))?;
        }
        encoder.write_image(labels.as_raw(), labels.width(), labels.height(), image::ExtendedColorType::L8)?;
        std::fs::write(&pair.labels, bytes)?;
        let pairs = FilePairs::new(vec![pair], Legend::parse("a\nb\n")?, "");
        let pair = pairs.read(0)?;
        assert_eq!(pairs.size(0)?, (pair.height, pair.width));
        Ok((pair.height, pair.width, pair.labels))
    }

    #[test]
    fn labels_are_those_of_the_image_as_it_is_seen() -> Result<()> {
        // class 1 in the first pixel
        let corner = |width, height| GrayImage::from_fn(width, height, |x, y| Luma([u8::from(x + y == 0)]));
        let place = |(height, width, labels): (usize, usize, Vec<u8>)| {
            (height, width, labels.iter().position(|&label| label == 1).unwrap_or_default())
        };
        // drawn upright
        assert_eq!(place(labels(6, &corner(16, 24), None)?), (24, 16, 0));
        // drawn on the pixels as they are stored: turned clockwise with the image, so that the corner is on the right
        assert_eq!(place(labels(6, &corner(24, 16), None)?), (24, 16, 15));
        // with an orientation of their own
        assert_eq!(place(labels(6, &corner(24, 16), Some(8))?), (24, 16, 23 * 16));
        assert_eq!(place(labels(1, &corner(24, 16), None)?), (16, 24, 0));
        // both sizes fit: as it is seen
        assert_eq!(place(labels(3, &corner(24, 16), None)?), (16, 24, 0));
        let error = labels(6, &corner(12, 8), None).unwrap_err().to_string();
        assert!(error.contains("16 × 24 pixels") && error.contains("12 × 8"), "{error}");
        Ok(())
    }
}

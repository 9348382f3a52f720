//! `folder`: images sorted by class, `<data-dir>/{train,test}/<class>/<file>`, of any size and colour type, resized to 32 × 32 RGB.

use super::DataDir;
use super::images::{Images, Splits};
use crate::picture::{self, ENDINGS, Limit, Listing};
use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 32;

/// Opens `train` and `test` of the data folder.
///
/// # Errors
/// If a folder is missing or empty, or the two have different classes.
pub(crate) fn open(data_dir: &DataDir) -> Result<Splits> {
    let folder = data_dir.folder("folder")?;
    let train = Arc::new(Folder::read(&folder.join("train"))?);
    let test = Arc::new(Folder::read(&folder.join("test"))?);
    ensure!(
        train.classes == test.classes,
        "{}: the classes of train ({}) and test ({}) differ",
        folder.display(),
        train.classes.join(", "),
        test.classes.join(", ")
    );
    Ok(Splits { train, test: vec![("folder".to_string(), test)], corrupted: "folder-c".to_string() })
}

/// One split, read on demand.
pub(crate) struct Folder {
    path: PathBuf,
    classes: Vec<String>,
    files: Vec<(PathBuf, usize)>,
    /// On files that are no images.
    remark: Option<String>,
}

impl Folder {
    /// Lists the classes, which are the sub-folders sorted by name, and the images in and below them.
    ///
    /// # Errors
    /// If there is no class, or a class has no image.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let (mut classes, mut files, mut all) = (Vec::new(), Vec::new(), Listing::default());
        let inside = picture::entries(path).context("expected a folder of classes, <class>/<image>")?;
        for folder in inside.into_iter().filter(|path| path.is_dir()) {
            let found = picture::list(&folder, None)?;
            ensure!(!found.images.is_empty(), "{}: no images ({})", folder.display(), ENDINGS.join(", "));
            files.extend(found.images.iter().map(|path| (path.clone(), classes.len())));
            all.add(found);
            classes.push(folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        }
        ensure!(!classes.is_empty(), "{}: no class folders; <class>/<image> is looked for in it", path.display());
        Ok(Self { path: path.to_path_buf(), classes, files, remark: all.remark() })
    }
}

impl Images for Folder {
    fn len(&self) -> usize {
        self.files.len()
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
        let (path, label) = self.files.get(index).with_context(|| format!("image {index} of {}", self.len()))?;
        let image = picture::open(path, Limit::default())?;
        let image = image.resize_to_fill(SIDE as u32, SIDE as u32, FilterType::Triangle).into_rgb8();
        ensure!(out.len() == image.as_raw().len(), "{} bytes for an image of {}", out.len(), image.as_raw().len());
        out.copy_from_slice(image.as_raw());
        Ok(*label)
    }

    fn describe(&self) -> String {
        let remark = self.remark.as_ref().map_or(String::new(), |remark| format!("; {remark}"));
        format!("{} ({} images, {} classes{remark})", self.path.display(), self.len(), self.classes.len())
    }
}

//! `Layout`: how label files are named and which values they have, where that is not the usual: `labels.json` beside `classes.txt`.

use super::legend::Legend;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The file's name.
pub(crate) const FILE: &str = "labels.json";

/// What people add to an image's name for that of its labels.
pub(super) const SUFFIXES: [&str; 16] = [
    "_mask",
    "_masks",
    "_label",
    "_labels",
    "_labelIds",
    "_gt",
    "_seg",
    "_segmentation",
    "_annotation",
    "_L",
    "-mask",
    "-masks",
    "-label",
    "-labels",
    "-gt",
    "-seg",
];

/// Names and values of label files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    /// What stands between the image's name and the ending of its label file: `_mask` for `a_mask.png` of `a.jpg`. Absent: nothing, or
    /// whichever of [`SUFFIXES`] all label files of a folder have.
    #[serde(default)]
    pub(super) suffix: Option<String>,
    /// The value of every line of the class list, in their order; absent: 0, 1, 2, …
    #[serde(default)]
    pub(super) values: Option<Vec<u16>>,
}

impl Layout {
    /// Reads that of a data folder; without the file all is as usual.
    ///
    /// # Errors
    /// If the file is damaged or has another key; the error names those that it may have.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = sncn_train::text_file::read(&path)?.text;
        let layout: Self = serde_json::from_str(&text).with_context(|| {
            format!("{}: expected like {{\"suffix\": \"_mask\", \"values\": [0, 255]}}, either or both", path.display())
        })?;
        let suffix = layout.suffix.as_deref().unwrap_or_default();
        ensure!(!suffix.contains(['/', '\\']), "{}: suffix {suffix:?}: a part of a file's name is accepted", path.display());
        Ok(layout)
    }

    /// The legend of the folder's label files.
    ///
    /// # Errors
    /// If the values do not fit the class list.
    pub(crate) fn legend(&self, legend: Legend, folder: &Path) -> Result<Legend> {
        match &self.values {
            Some(values) => legend.with_values(values).with_context(|| folder.join(FILE).display().to_string()),
            None => Ok(legend),
        }
    }
}

/// How the name of a label file comes from that of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// The image's name without its ending, and this.
    Suffix(String),
    /// The image's whole name: `a.jpg.png`.
    Whole,
}

impl Naming {
    /// Those that are tried, in this order.
    pub(super) fn all(layout: &Layout) -> Vec<Self> {
        match &layout.suffix {
            Some(suffix) => vec![Self::Suffix(suffix.clone())],
            None => {
                let known = SUFFIXES.iter().map(|suffix| Self::Suffix(suffix.to_string()));
                std::iter::once(Self::Suffix(String::new())).chain(known).chain([Self::Whole]).collect()
            }
        }
    }

    /// The name of the label file of an image, without its ending.
    pub(super) fn of(&self, image: &Path) -> PathBuf {
        match self {
            Self::Suffix(suffix) => {
                let mut name = OsString::from(image.with_extension(""));
                name.push(suffix);
                PathBuf::from(name)
            }
            Self::Whole => image.to_path_buf(),
        }
    }

    /// A remark on it, unless it is the usual.
    pub(super) fn remark(&self) -> Option<String> {
        match self {
            Self::Suffix(suffix) if suffix.is_empty() => None,
            Self::Suffix(suffix) => Some(format!("labels of a.jpg are a{suffix}.png")),
            Self::Whole => Some("labels of a.jpg are a.jpg.png".to_string()),
        }
    }
}

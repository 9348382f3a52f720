//! `Manifest`: what a folder of corrupted copies holds, and how it was made. `images.csv` beside it lists every copy with its label.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sncn_record::Build;
use sncn_train::files::write_atomically;
use sncn_train::harness::robustness::Copied;
use std::path::{Path, PathBuf};

/// The layout that this version writes and reads.
pub(super) const FORMAT: u32 = 1;
/// The file in the folder of the copies.
const FILE: &str = "manifest.json";
/// The folder of copies of images as they are.
pub(super) const CLEAN: &str = "clean";
/// The list of the copies.
const LIST: &str = "images.csv";

/// The name of the tables of severities that are chosen by an image's size.
pub(crate) const AUTO: &str = "auto";

/// How copies were made: the protocol of what is measured on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: u32,
    /// The name of the folder or file that was corrupted.
    pub(crate) input: String,
    /// Its images.
    pub(crate) images: usize,
    /// SHA-256 over their pixels and classes.
    pub(crate) sha256: String,
    /// The corruptions, in order.
    pub(crate) corruptions: Vec<String>,
    /// The severities, in order.
    pub(crate) severities: Vec<usize>,
    /// Which table of severities was asked for.
    pub(crate) severity_table: String,
    /// Where frost came from.
    pub(crate) frost: String,
    /// The seed of the corruptions.
    pub(crate) seed: u64,
    /// Whether there are copies as the images were.
    pub(crate) clean: bool,
    /// The program that made them.
    #[serde(flatten)]
    pub(crate) built: Build,
}

/// One copy of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Copy {
    /// Its path below the folder, with slashes.
    pub(crate) path: String,
    /// Its class: the first folder that the image was in; empty where it was in none.
    pub(crate) label: String,
    /// The corruption; `clean` for a copy as the image was.
    pub(crate) corruption: String,
    /// The severity; 0 for a copy as the image was.
    pub(crate) severity: usize,
}

impl From<Copy> for Copied {
    fn from(copy: Copy) -> Self {
        let Copy { path, label, corruption: shift, severity } = copy;
        Self { path, label, shift, severity }
    }
}

/// A path as the list has it.
fn with_slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The class of the image with that name: its first folder, none where it lies in no folder.
pub(super) fn class(stem: &Path) -> String {
    with_slashes(stem).split_once('/').map_or(String::new(), |(first, _)| first.to_string())
}

impl Manifest {
    /// The copies of images with these names, corruption after corruption.
    fn copies(&self, stems: &[PathBuf]) -> impl Iterator<Item = Copy> {
        let cells =
            self.corruptions.iter().flat_map(|name| self.severities.iter().map(move |&severity| (name.as_str(), severity)));
        let clean = self.clean.then_some((CLEAN, 0));
        clean.into_iter().chain(cells).flat_map(move |(corruption, severity)| {
            stems.iter().map(move |stem| {
                let (label, stem) = (class(stem), with_slashes(stem));
                let below = if severity == 0 { String::new() } else { format!("/{severity}") };
                Copy { path: format!("{corruption}{below}/{stem}.png"), label, corruption: corruption.to_string(), severity }
            })
        })
    }

    /// Writes the manifest and the list of the copies of images with these names into their folder.
    ///
    /// # Errors
    /// If a file cannot be written; no partial file is left.
    pub(super) fn write(&self, folder: &Path, stems: &[PathBuf]) -> Result<()> {
        let mut list = csv::Writer::from_writer(Vec::new());
        self.copies(stems).try_for_each(|copy| list.serialize(copy))?;
        write_atomically(&folder.join(LIST), &list.into_inner().map_err(|error| error.into_error())?)?;
        Ok(write_atomically(&folder.join(FILE), serde_json::to_string_pretty(self)?.as_bytes())?)
    }

    /// Reads a folder's manifest and list.
    ///
    /// # Errors
    /// If one is missing or damaged.
    pub(crate) fn read(folder: &Path) -> Result<(Self, Vec<Copy>)> {
        let (file, list) = (folder.join(FILE), folder.join(LIST));
        let text = std::fs::read_to_string(&file).with_context(|| {
            format!(
                "{}: not readable; a folder that `corrupt --clean --input PHOTOS --output FOLDER` wrote is wanted",
                file.display()
            )
        })?;
        let manifest: Self = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        ensure!(
            manifest.format == FORMAT,
            "{}: format {} is newer than this program, which reads {FORMAT}",
            file.display(),
            manifest.format
        );
        let mut reader = csv::Reader::from_path(&list).with_context(|| list.display().to_string())?;
        let copies: Vec<Copy> = reader.deserialize().collect::<Result<_, _>>().with_context(|| list.display().to_string())?;
        let wanted = manifest.images * (manifest.corruptions.len() * manifest.severities.len() + usize::from(manifest.clean));
        ensure!(
            copies.len() == wanted,
            "{}: {} images, and {FILE} says {wanted}: write the folder again",
            list.display(),
            copies.len()
        );
        Ok((manifest, copies))
    }
}

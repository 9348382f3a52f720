//! Image data sets, by name: labelled RGB images, read on demand.
//!
//! Images under a distribution shift are a named test set like any other. A new data set is one file and one line in
//! [`DATASETS`].

pub(crate) mod arrays;
pub mod cifar;
mod images;
pub mod npy;
pub mod pairs;
pub(crate) mod photos;
pub(crate) mod relabelled;
pub mod shapes;
pub(crate) mod subset;

pub use images::{Images, Splits};
pub use photos::{Parts, Validation};
pub use sncn_train::DataDir;

use anyhow::{Result, bail, ensure};
use photos::Check;

/// Opens a data set in a data folder.
pub type Open = fn(&DataDir) -> Result<Splits>;

/// Every data set by name.
pub const DATASETS: &[(&str, Open)] = &[("shapes", shapes::open), ("cifar10", cifar::open_10), ("cifar100", cifar::open_100)];

/// Data sets of photographs in files, with whether the part called `val` is their test set.
const PHOTOS: [(&str, bool); 3] = [("folder", false), ("imagenet", true), ("tiny-imagenet", true)];

/// The names of all data sets.
pub fn names() -> impl Iterator<Item = &'static str> {
    DATASETS.iter().map(|(name, _)| *name).chain(PHOTOS.iter().map(|(name, _)| *name))
}

/// Checks that what a user gives as data is a file or folder, or the name of a data set.
///
/// # Errors
/// If it is neither; the error lists the data sets.
pub(crate) fn check_given(given: &str) -> Result<()> {
    ensure!(
        std::path::Path::new(given).exists() || names().any(|known| known == given),
        "{given}: no such file or folder, and no data set; known: {}",
        names().collect::<Vec<_>>().join(", ")
    );
    Ok(())
}

/// Opens a data set by name.
///
/// # Errors
/// If the name is unknown (the error lists the known ones), or files are missing or damaged.
pub fn open(name: &str, data_dir: &DataDir) -> Result<Splits> {
    open_parts(name, data_dir, &Parts::default(), None)
}

/// Opens a data set by name, its parts as a run names them; of files that are trained on, those that cannot be read are found
/// with `check`.
///
/// # Errors
/// As [`open`]; or if parts are named and the set has none.
pub(crate) fn open_parts(name: &str, data_dir: &DataDir, parts: &Parts, check: Option<Check>) -> Result<Splits> {
    if let Some((_, val_is_test)) = PHOTOS.iter().find(|(known, _)| *known == name) {
        let folder = data_dir.folder(name)?;
        let folder = parts.folder.as_ref().map_or(folder.clone(), |inside| folder.join(inside));
        return photos::open(name, &folder, parts, check, *val_is_test);
    }
    let Some((_, open)) = DATASETS.iter().find(|(known, _)| *known == name) else {
        bail!("unknown data set {name:?}; known: {}", names().collect::<Vec<_>>().join(", "))
    };
    ensure!(
        *parts == Parts::default(),
        "data is set, and {name} has its parts from its publisher; {} take it",
        PHOTOS.map(|(name, _)| name).join(", ")
    );
    open(data_dir)
}

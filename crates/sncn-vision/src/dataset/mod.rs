//! Image data sets, by name: labelled RGB images of one size, read on demand.
//!
//! Images under a distribution shift are a named test set like any other. A new data set is one file and one line in
//! [`DATASETS`].

pub(crate) mod arrays;
pub mod cifar;
pub(crate) mod folder;
mod images;
pub mod npy;
pub mod pairs;
pub mod shapes;
pub(crate) mod subset;

pub use images::{Images, Splits};
pub use sncn_train::DataDir;

use anyhow::{Result, bail, ensure};

/// Opens a data set in a data folder.
pub type Open = fn(&DataDir) -> Result<Splits>;

/// Every data set by name.
pub const DATASETS: &[(&str, Open)] =
    &[("shapes", shapes::open), ("cifar10", cifar::open_10), ("cifar100", cifar::open_100), ("folder", folder::open)];

/// Checks that what a user gives as data is a file or folder, or the name of a data set.
///
/// # Errors
/// If it is neither; the error lists the data sets.
pub(crate) fn check_given(given: &str) -> Result<()> {
    let known: Vec<_> = DATASETS.iter().map(|(known, _)| *known).collect();
    ensure!(
        std::path::Path::new(given).exists() || known.contains(&given),
        "{given}: no such file or folder, and no data set; known: {}",
        known.join(", ")
    );
    Ok(())
}

/// Opens a data set by name.
///
/// # Errors
/// If the name is unknown (the error lists the known ones), or files are missing or damaged.
pub fn open(name: &str, data_dir: &DataDir) -> Result<Splits> {
    match DATASETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(data_dir),
        None => {
            let known: Vec<_> = DATASETS.iter().map(|(known, _)| *known).collect();
            bail!("unknown data set {name:?}; known: {}", known.join(", "))
        }
    }
}

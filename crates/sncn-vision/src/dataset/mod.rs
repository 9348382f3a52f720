//! Image data sets, by name: labelled RGB images of one size, read on demand.
//!
//! A distribution shift is just another named test set. To add a data set: one file and one line in [`DATASETS`].

pub mod arrays;
pub mod cifar;
pub mod folder;
mod images;
pub mod npy;
pub mod pairs;
pub mod shapes;
pub mod subset;

pub use images::{Images, Splits};
pub use sncn_train::Source;

use anyhow::{Result, bail};

/// Opens a data set.
pub type Open = fn(&Source) -> Result<Splits>;

/// Every data set.
pub const DATASETS: &[(&str, Open)] =
    &[("shapes", shapes::open), ("cifar10", cifar::open_10), ("cifar100", cifar::open_100), ("folder", folder::open)];

/// Opens the data set of that name.
///
/// # Errors
/// Where the name is unknown (the known ones are listed), or its files are missing or damaged.
pub fn open(name: &str, source: &Source) -> Result<Splits> {
    match DATASETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(source),
        None => {
            let known: Vec<_> = DATASETS.iter().map(|(known, _)| *known).collect();
            bail!("unknown data set {name:?}; known: {}", known.join(", "))
        }
    }
}

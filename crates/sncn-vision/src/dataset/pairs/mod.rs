//! Data sets for segmentation, by name: RGB images with a class for every pixel, read on demand.
//!
//! To add a data set: one file and one line in [`PAIR_SETS`].

pub mod camvid;
pub mod cityscapes;
mod colours;
pub mod files;
pub mod folder;
pub mod labels;
pub mod legend;
mod pair;
pub mod scenes;

pub use files::FilePairs;
pub use legend::Legend;
pub use pair::{Pair, PairSplits, Pairs, Part};

use super::Source;
use anyhow::{Result, bail};

/// Opens a data set.
pub type Open = fn(&Source) -> Result<PairSplits>;

/// Every data set.
pub const PAIR_SETS: &[(&str, Open)] = &[
    ("scenes", scenes::open),
    ("camvid", camvid::open),
    ("cityscapes", cityscapes::open),
    ("gta5", cityscapes::open_gta5),
    ("folder", folder::open),
];

/// Opens the data set of that name.
///
/// # Errors
/// Where the name is unknown (the known ones are listed), or its files are missing or damaged.
pub fn open(name: &str, source: &Source) -> Result<PairSplits> {
    match PAIR_SETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(source),
        None => {
            let known: Vec<_> = PAIR_SETS.iter().map(|(known, _)| *known).collect();
            bail!("unknown data set {name:?}; known: {}", known.join(", "))
        }
    }
}

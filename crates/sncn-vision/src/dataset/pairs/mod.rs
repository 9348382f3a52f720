//! Data sets for segmentation, by name: RGB images with a class for every pixel, read on demand.
//!
//! A new data set is one file and one line in [`PAIR_SETS`].

mod camvid;
mod cityscapes;
mod class_list;
mod colours;
mod files;
mod folder;
pub mod labels;
mod layout;
mod legend;
mod occurrence;
mod pair;
pub mod scenes;

pub(crate) use folder::part;
pub use legend::{Colour, Legend};
pub(crate) use occurrence::absent;
pub(crate) use pair::PairSubset;
pub use pair::{Pair, PairSplits, Pairs};

use super::DataDir;
use anyhow::{Result, bail};
use std::sync::Arc;

/// Opens a data set in a data folder.
pub type Open = fn(&DataDir) -> Result<PairSplits>;

/// Every data set by name.
pub const PAIR_SETS: &[(&str, Open)] = &[
    ("scenes", scenes::open),
    ("camvid", camvid::open),
    ("cityscapes", cityscapes::open),
    ("gta5", cityscapes::open_gta5),
    ("folder", folder::open),
];

/// Opens a test set by its name, of whichever data set has it: one whose name the test set's begins with.
///
/// # Errors
/// If no data set has it, or files are missing or damaged.
pub(crate) fn test_set(name: &str, data_dir: &DataDir) -> Result<Arc<dyn Pairs>> {
    let sets = PAIR_SETS.iter().filter(|(set, _)| name.starts_with(set));
    let mut known = Vec::new();
    for (_, open) in sets {
        for (test, pairs) in open(data_dir)?.test {
            if test == name {
                return Ok(pairs);
            }
            known.push(test);
        }
    }
    let sets = PAIR_SETS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { format!("test sets of {sets}") } else { known.join(", ") };
    bail!("{name:?} is neither a folder nor a test set; accepted: a folder with images/ and labels/, {known}")
}

/// Opens a data set by name.
///
/// # Errors
/// If the name is unknown (the error lists the known ones), or files are missing or damaged.
pub fn open(name: &str, data_dir: &DataDir) -> Result<PairSplits> {
    match PAIR_SETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(data_dir),
        None => {
            let known: Vec<_> = PAIR_SETS.iter().map(|(known, _)| *known).collect();
            bail!("unknown data set {name:?}; known: {}", known.join(", "))
        }
    }
}

//! The commands of `sncn-classify`, one file each.

/// Prints a line; a reader that has gone away (`| head`) neither stops the work nor fails it.
macro_rules! out {
    () => { $crate::classify::setup::line(format_args!("")) };
    ($($arguments:tt)*) => { $crate::classify::setup::line(format_args!($($arguments)*)) };
}

pub mod bench;
pub mod corrupt;
pub mod evaluate;
pub mod export;
pub mod import;
pub mod plan;
pub mod predict;
pub mod setup;
pub mod show;
pub mod summary;
pub mod test_sets;
pub mod train;
pub mod weights;

//! The commands of `sncn-classify`, one file each.

pub mod bench;
pub mod corrupt;
pub mod evaluate;
pub mod import;
pub mod predict;
pub mod setup;
pub mod show;
pub mod summary;
pub mod test_sets;
pub mod train;

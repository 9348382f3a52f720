//! The commands of `sncn-classify`, one file each.

pub mod bench;
pub mod corrupt;
pub mod evaluate;
pub mod plan;
pub mod predict;
pub mod setup;
pub mod test_sets;
pub mod train;

//! The commands of `sncn-sentiment`.

pub mod bench;
pub mod evaluate;
pub mod predict;
pub mod setup;
mod summary;
pub mod train;
pub mod vocab;

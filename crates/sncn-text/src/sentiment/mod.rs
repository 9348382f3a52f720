//! The commands of `sncn-sentiment`.

mod begin;
pub mod bench;
pub mod evaluate;
pub mod lines;
pub mod predict;
pub mod setup;
pub mod show;
mod summary;
pub mod train;
pub mod vocab;

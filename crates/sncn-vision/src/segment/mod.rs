//! Segmentation: labelled pixels as examples, their augmentation, scoring, and the task of `sncn-segment`.

pub mod examples;
pub mod overlay;
mod predict;
mod robustness;
pub mod scoring;
mod setup;
mod show;
mod start;
pub mod style;
mod summary;
mod task;
mod test_sets;
pub mod transform;

pub use setup::{Model, Segment, Settings};
pub use task::{Command, Evaluate};

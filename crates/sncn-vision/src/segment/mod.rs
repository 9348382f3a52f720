//! Segmentation: labelled pixels as examples, their augmentation, scoring, and the commands of `sncn-segment`, one file each.

pub mod evaluate;
pub mod examples;
pub mod overlay;
pub mod predict;
pub mod scoring;
pub mod setup;
pub mod show;
pub mod style;
pub mod summary;
pub mod train;
pub mod transform;

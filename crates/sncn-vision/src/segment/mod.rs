//! Segmentation: labelled pixels as examples, their augmentation, scoring, and the commands of `sncn-segment`, one file each.

pub mod examples;
pub mod overlay;
pub mod scoring;
pub mod style;
pub mod transform;

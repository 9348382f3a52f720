//! The networks of images, their augmentations and corruptions.

mod augment;
mod backbones;
mod corruptions;
mod pictures;
mod segment_networks;

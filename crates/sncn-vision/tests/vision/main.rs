//! The networks of images, their augmentations and corruptions.

mod augment;
mod backbones;
mod corruptions;
mod segment_networks;

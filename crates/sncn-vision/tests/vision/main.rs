//! The networks of images, their augmentations, corruptions and tables, and the programs as their users run them.

mod augment;
mod backbones;
mod corruptions;
mod segment_networks;

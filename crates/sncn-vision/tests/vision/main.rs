//! The networks of images, their augmentations, corruptions and tables, and the programs as their users run them.

mod augment;
mod backbones;
mod cli;
mod common;
mod corruptions;
mod import_cli;
mod segment_cli;
mod segment_networks;
mod tables;
mod test_sets_cli;

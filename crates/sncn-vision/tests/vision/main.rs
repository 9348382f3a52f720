//! The networks of images, their augmentations and corruptions.

mod augment;
mod backbones;
mod corruptions;
mod norms;
mod on_image;
mod onnx;
mod pictures;
mod segment_networks;

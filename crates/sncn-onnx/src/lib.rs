//! ONNX image classifiers and networks that label pixels, as [`sncn_core::Network`]s.
//!
//! [`Classifier::open`] reads a file, says what does not fit an image classifier, and gives a network that takes images (N, H, W, 3) and
//! answers logits (N, classes), whatever the layout of the file's own input and whether it ends in a softmax.
//!
//! [`Segmenter::open`] does so for a network that labels pixels, with logits (N, H, W, classes).
//!
//! [`export`] writes a network as such a file, and [`export_texts`] one that classifies texts.
//!
//! A graph is split in two. Its body, all that can be computed from the image by convolutions, BatchNorm, activations, sums,
//! concatenations and pooling as `sncn-core` has them, is recorded there and runs on its kernels; the rest runs on tract. Either part may
//! be empty.

mod attributes;
mod body;
mod classifier;
mod error;
mod export;
mod file;
mod graph;
mod guard;
mod rest;
mod segmenter;
mod translate;
mod write;

pub use classifier::{Classifier, Reading};
pub use error::OnnxError;
pub use export::{export, export_texts};
pub use file::{File, Layout};
pub use segmenter::Segmenter;
pub use write::{CLASSES, Notes};

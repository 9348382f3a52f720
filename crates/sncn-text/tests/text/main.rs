//! The networks of texts.

mod networks;
mod onnx;

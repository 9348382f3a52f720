//! `.pth` files: the state dict that `torch.save` wrote, read without running the pickle in it.
//!
//! Both forms: the zip archive (PyTorch 1.6 and later; `<name>/data.pkl` and `<name>/data/<key>`, uncompressed) and the older
//! sequence of pickles with the storages behind them. A tensor is a window on a storage: an offset, extents and strides, all
//! held against the storage's bytes, so that no tensor is larger than what the file holds. What is no tensor is named, never
//! made. Source: `torch/serialization.py` and `torch/_utils.py`.

mod container;
mod error;
mod file;
mod kind;
mod state;

pub use error::PthError;
pub use file::Pth;

#[cfg(test)]
mod tests;

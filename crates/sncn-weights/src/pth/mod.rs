//! `.pth` files: state dicts that `torch.save` wrote, read without running the pickle in them.
//!
//! Both formats: the zip archive (PyTorch 1.6 and later; `<name>/data.pkl` and `<name>/data/<key>`, uncompressed) and the older
//! sequence of pickles followed by the storages. A tensor is an offset, a shape and strides in a storage, all checked against the
//! storage's bytes, so that no tensor is larger than the file. Entries that are not tensors are listed by name only. Source: `torch/serialization.py` and `torch/_utils.py`.

mod container;
mod error;
mod file;
mod kind;
mod state;

pub use error::PthError;
pub use file::Pth;

#[cfg(test)]
mod tests;

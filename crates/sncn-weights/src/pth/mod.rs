//! `.pth` files: tensors that `torch.save` wrote, read without running the pickle that names them.
//!
//! Both formats: the zip archive (PyTorch 1.6 and later, and TorchScript; `<name>/data.pkl` and `<name>/data/<key>`, uncompressed)
//! and the older sequence of pickles followed by the storages. A tensor is an offset, a shape and strides in a storage, all checked
//! against the storage's bytes, so that no tensor is larger than the file. What is no tensor is passed over.
//! Source: `torch/serialization.py`, `torch/_utils.py` and `torch/csrc/jit/serialization/pickler.cpp`.

mod container;
mod error;
mod file;
mod kind;
mod tensor;
mod tree;

pub(crate) use container::older;
pub use error::PthError;
pub use file::Pth;
pub(crate) use kind::StorageSlice;

#[cfg(test)]
mod tests;

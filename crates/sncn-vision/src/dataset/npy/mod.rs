//! `.npy` files of integers (NumPy's format 1.0 to 3.0, C order): the layout of CIFAR-10-C and CIFAR-100-C.

mod read;
mod write;

pub use read::NpyFile;
pub use write::NpyWriter;

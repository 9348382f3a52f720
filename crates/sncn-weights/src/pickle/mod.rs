//! Python pickles, read without running them: values become nodes, and calls are recorded but never made.
//!
//! Protocols 0 to 5, as far as data files use them (CIFAR's Python files, PyTorch's state dicts). Nodes are stored in one vector and
//! refer to each other by index, so that hostile nesting, sharing and cycles cost no more than the length of the file.
//! Source: the opcode list of Python's `pickletools`.

mod node;
mod read;
mod reader;

pub use node::{Id, Node, PickleError};
pub use read::Pickle;

#[cfg(test)]
mod tests;

//! Python pickles, read without running them: values become plain nodes, calls are recorded and never made.
//!
//! Protocols 0 to 5 as far as data files need them (CIFAR's python layout, PyTorch's state dicts). Nodes lie in one arena
//! and refer to each other by number, so hostile nesting, sharing and cycles cost no more than the file's length.
//! Source: the opcode list of Python's `pickletools`.

mod node;
mod read;
mod reader;

pub use node::{Id, Node, PickleError};
pub use read::Pickle;

#[cfg(test)]
mod tests;

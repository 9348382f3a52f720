//! Python pickles, read without running them: values become nodes, and calls are recorded but never made.
//!
//! Protocols 0 to 5, every instruction of them; values that no data file needs (integers of more than 64 bits, items of a class other
//! than list and dict, named arguments) are passed over and do not make a file unreadable. Nodes are stored in one vector and
//! refer to each other by index, so that hostile nesting, sharing and cycles cost no more than the length of the file.
//! Source: the opcode list of Python's `pickletools`.

mod node;
mod read;
mod reader;

pub use node::{Id, Node, PickleError};
pub use read::Pickle;

#[cfg(test)]
mod tests;

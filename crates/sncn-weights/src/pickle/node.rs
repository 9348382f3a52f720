//! `Node`: one value of a pickle, and why a pickle cannot be read.

/// Why a pickle cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end within an instruction, or a length points past the end.
    #[error("the pickle is truncated at byte {0}")]
    Truncated(usize),
    /// A byte that is no instruction of a pickle.
    #[error("pickle instruction {op:#04x} at byte {at} is not known: damaged, or no pickle")]
    Instruction {
        /// The opcode.
        op: u8,
        /// Its offset in bytes.
        at: usize,
    },
    /// An instruction whose operands are missing or of the wrong type.
    #[error("the pickle is malformed at byte {at}: {what}")]
    Malformed {
        /// Its offset in bytes.
        at: usize,
        /// What was expected.
        what: &'static str,
    },
}

pub(super) type Result<T> = std::result::Result<T, PickleError>;

/// The index of a node.
pub type Id = usize;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A byte string: a range of the input.
    Bytes(std::ops::Range<usize>),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Id>),
    /// A tuple or set.
    Tuple(Vec<Id>),
    /// A dictionary: keys and values, in order.
    Dict(Vec<(Id, Id)>),
    /// A class or function, by name only.
    Global {
        /// The module.
        module: String,
        /// The name in the module.
        name: String,
    },
    /// A call, which was not made.
    Call {
        /// The class or function.
        callable: Id,
        /// The arguments, a tuple.
        arguments: Id,
        /// The state that `__setstate__` would get.
        state: Option<Id>,
    },
    /// A persistent id: a reference to something outside the pickle.
    Persistent(Id),
    /// A value that no data file needs: an integer of more than 64 bits, a string that is not Unicode.
    Other,
}

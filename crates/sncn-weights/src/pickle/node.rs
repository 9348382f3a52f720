//! `Node`: one value of a pickle, and why a pickle is refused.

/// Why a pickle was refused.
#[derive(Debug, thiserror::Error)]
pub enum PickleError {
    /// The bytes end within an instruction, or a length points past the end.
    #[error("the pickle is truncated at byte {0}")]
    Truncated(usize),
    /// An instruction that data files do not use.
    #[error("pickle instruction {op:#04x} at byte {at} is not accepted (data only: nothing is run)")]
    Instruction {
        /// The instruction.
        op: u8,
        /// Where it stands.
        at: usize,
    },
    /// An instruction whose operands are missing or of another kind.
    #[error("the pickle is malformed at byte {at}: {what}")]
    Malformed {
        /// Where.
        at: usize,
        /// What was wanted.
        what: &'static str,
    },
}

pub(super) type Result<T> = std::result::Result<T, PickleError>;

/// A node's number.
pub type Id = usize;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// A float.
    Float(f64),
    /// A byte string: a range of the input.
    Bytes(std::ops::Range<usize>),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Id>),
    /// A tuple or set.
    Tuple(Vec<Id>),
    /// A dictionary, in order.
    Dict(Vec<(Id, Id)>),
    /// A class or function, by name only.
    Global {
        /// Its module.
        module: String,
        /// Its name.
        name: String,
    },
    /// A call that was not made.
    Call {
        /// What would be called.
        callable: Id,
        /// The arguments, a tuple.
        arguments: Id,
        /// What would be set on the result.
        state: Option<Id>,
    },
    /// A reference outside the pickle.
    Persistent(Id),
}

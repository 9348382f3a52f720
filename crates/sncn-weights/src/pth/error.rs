//! Why a file of PyTorch cannot be read.

use crate::pickle::PickleError;

/// Why a file of PyTorch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// The file has neither format of `torch.save`.
    #[error("not a file that torch.save wrote (neither its zip archive nor the older form); write one with torch.save")]
    Form,
    /// The zip archive is damaged.
    #[error("the zip archive is damaged or cut short ({0}); fetch the file again")]
    Archive(String),
    /// A part of the file is missing, damaged or not accepted.
    #[error("{part}: {what}")]
    Part {
        /// The part.
        part: String,
        /// What is wrong.
        what: String,
    },
    /// A pickle in the file cannot be read.
    #[error("{part}")]
    Pickle {
        /// The pickle.
        part: &'static str,
        /// What is wrong.
        source: PickleError,
    },
    /// A tensor cannot be read.
    #[error("tensor {name:?}: {what}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
}

pub(super) type Result<T> = std::result::Result<T, PthError>;

pub(super) fn part<T>(part: &str, what: impl Into<String>) -> Result<T> {
    Err(PthError::Part { part: part.to_string(), what: what.into() })
}

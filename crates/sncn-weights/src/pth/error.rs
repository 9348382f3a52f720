//! Why a file of PyTorch is refused.

use crate::pickle::PickleError;

/// Why a file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PthError {
    /// Neither form.
    #[error("not a file that torch.save wrote (neither its zip archive nor the older form); write one with torch.save")]
    Form,
    /// The archive itself.
    #[error("the zip archive is damaged or cut short; fetch the file again")]
    Archive(#[source] zip::result::ZipError),
    /// A part of the file.
    #[error("{part}: {what}")]
    Part {
        /// Which.
        part: String,
        /// What is wrong with it.
        what: String,
    },
    /// A pickle of the file.
    #[error("{part}")]
    Pickle {
        /// Which.
        part: &'static str,
        /// What is wrong with it.
        source: PickleError,
    },
    /// A tensor of the state dict.
    #[error("tensor {name:?}: {what}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// No state dict.
    #[error("{0}")]
    Content(String),
}

pub(super) type Result<T> = std::result::Result<T, PthError>;

pub(super) fn part<T>(part: &str, what: impl Into<String>) -> Result<T> {
    Err(PthError::Part { part: part.to_string(), what: what.into() })
}

//! Why weights cannot be opened, or are not those of a network.

use crate::format::Format;
use crate::pth::PthError;
use std::io;
use std::path::PathBuf;

/// Why a file cannot be read, or is not that of the network. What a message says, the error's source does not say again.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A file or folder, and what is wrong with it.
    #[error("{}", path.display())]
    At {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        #[source]
        error: Box<WeightsError>,
    },
    /// The file or folder cannot be read.
    #[error("not readable ({0})")]
    Read(io::ErrorKind),
    /// A file that holds no weights that are read.
    #[error("{0}; {advice}", advice = advice(.0))]
    Format(Format),
    /// A safetensors file that is damaged.
    #[error("a safetensors file that is damaged or cut short ({0}); fetch it again")]
    Safetensors(String),
    /// A file of `torch.save` that is damaged or not accepted.
    #[error(transparent)]
    Pth(#[from] PthError),
    /// The index of weights in several files is not one.
    #[error("no index of weights: {0}")]
    Index(String),
    /// Files that the index names are not there.
    #[error("missing: {missing} of the {all} files that it names (the first: {first}); fetch them into the same folder")]
    Parts {
        /// How many are missing.
        missing: usize,
        /// How many there should be.
        all: usize,
        /// The first that is missing.
        first: String,
    },
    /// A folder without weights that are read.
    #[error("{0}")]
    Folder(String),
    /// No dictionary of tensors has a name of the network.
    #[error("weights of another network: nothing in it has a name of this one; it holds {0}")]
    Other(String),
    /// There is nothing under the key that was asked for.
    #[error("no tensors under {key:?}; it holds {holds}")]
    Key {
        /// The key.
        key: String,
        /// What is there.
        holds: String,
    },
    /// Two tensors of the file have the same name in the network.
    #[error("{0} and {1} are both named {2} in the network; remove one, or choose the beginning of the right names with a key")]
    Twice(String, String, String),
    /// Variables are missing in the file, or have another shape there.
    #[error(
        "{wrong} of {variables} variables are missing or of another shape (the first: {first}), {surplus} names are surplus: \
         weights of another network"
    )]
    Network {
        /// Number of such variables.
        wrong: usize,
        /// Number of all variables of the network.
        variables: usize,
        /// The first of them, and what is wrong with it.
        first: String,
        /// Number of tensors of the file that are not in the network.
        surplus: usize,
    },
    /// The network has no variables.
    #[error("the network has no variables")]
    NoVariables,
    /// candle could not set a variable.
    #[error(transparent)]
    Set(#[from] candle_core::Error),
}

pub(crate) type Result<T> = std::result::Result<T, WeightsError>;

/// What to do about a file that is not read.
fn advice(format: &Format) -> &'static str {
    match format {
        Format::Other { advice, .. } => advice,
        _ => "give the file with the weights",
    }
}

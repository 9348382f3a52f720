//! Why a checkpoint could not be written, read or used.

use crate::BoxError;
use crate::files::WriteError;
use candle_core::DType;
use safetensors::SafeTensorError;
use sncn_record::checkpoint::FORMAT;
use std::io;
use std::path::PathBuf;

/// What to do with what is no checkpoint.
const TAKEN: &str = "`sncn-classify import FILE --backbone NAME --output MODEL.safetensors` makes one of an image classifier's weights; \
    sncn-sentiment takes a folder in Hugging Face's layout, as --run-dir; sncn-segment takes what it trained alone";

/// Why a checkpoint could not be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder could not be read or removed.
    #[error("{}: {what}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The action that failed.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// A file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file is damaged.
    #[error("{}: damaged{what}", path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// How the damage was found; may be empty.
        what: &'static str,
        /// The reader's error, if any.
        source: Option<BoxError>,
    },
    /// What is there is no checkpoint: weights of another program, a picture, a folder.
    #[error("{}: {found}, not a checkpoint that train wrote; {TAKEN}", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// What it is, with an article.
        found: String,
    },
    /// The file has a format that this version cannot read.
    #[error("{}: format {format} is newer than this program, which reads {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// The newest checkpoint of a folder cannot be used.
    #[error("{}; {advice}", with_causes(error))]
    Newest {
        /// Its error.
        error: Box<CheckpointError>,
        /// What the user can do.
        advice: String,
    },
    /// The checkpoint has a variable that the network does not have.
    #[error("{}: a checkpoint of another network: it has {name}, which this network lacks", path.display())]
    Surplus {
        /// The file.
        path: PathBuf,
        /// The name of the variable.
        name: String,
    },
    /// The checkpoint lacks a variable of the network, or has it with another shape.
    #[error("{}: a checkpoint of another network", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: candle_core::Error,
    },
    /// The state of the optimiser, or of what is trained beside the network, does not fit.
    #[error("{}: state of the {what}", path.display())]
    State {
        /// Whose state it is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: candle_core::Error,
    },
    /// The checkpoint belongs to another run.
    #[error("{}: a checkpoint of another run: {key:?} is {there} there and {here} here; choose another --run-dir", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the checkpoint.
        there: String,
        /// Its value in the run that was asked for.
        here: String,
    },
    /// A tensor has a type that checkpoints do not support.
    #[error("{0}: a tensor of type {1:?} cannot be saved")]
    Type(String, DType),
    /// A weight is too large for 16-bit floats.
    #[error("{0}: a value is too large for 16-bit floats; save 32-bit ones, without --half")]
    Large(String),
    /// The optimiser state could not be converted to tensors.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The tensors could not be serialised.
    #[error(transparent)]
    Layout(#[from] SafeTensorError),
    /// The header could not be serialised.
    #[error(transparent)]
    Header(#[from] serde_json::Error),
}

/// The message of an error and all its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

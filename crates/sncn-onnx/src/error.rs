//! `OnnxError`: why a file is no classifier that can be measured.

/// Why an ONNX file could not be opened as an image classifier, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file could not be read.
    #[error("{file}: not readable")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no ONNX model, is cut short, or lacks weights that lie beside it.
    #[error("{file}: not a whole ONNX model: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// The graph has operators that are not implemented.
    #[error("{file}: operators that are not implemented: {operators}; export the model without them")]
    Operators {
        /// The file.
        file: String,
        /// Each with the first node that has it.
        operators: String,
    },
    /// The model does not take a batch of images, or does not answer with scores of classes.
    #[error("{file}: {what}")]
    Unfit {
        /// The file.
        file: String,
        /// What does not fit, and what is accepted.
        what: String,
    },
    /// The model failed as it ran.
    #[error("{file}: the model does not run: {what}")]
    Run {
        /// The file.
        file: String,
        /// Why.
        what: String,
    },
}

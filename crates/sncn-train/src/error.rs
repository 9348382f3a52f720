//! `BoxError`: any error.

/// Any error, for failures of a caller's own code inside training and evaluation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

//! `BoxError`: any error.

/// Any error: what a caller's own code may fail with inside training and evaluation.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

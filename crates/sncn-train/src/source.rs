//! `Source`: where data sets come from.

use std::path::PathBuf;

/// No folder of data sets was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data set {0:?}: no data folder; give --data-dir DIR or set SNCN_DATA")]
pub struct NoFolder(pub String);

/// Where data sets come from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Folder that holds the data sets.
    pub data_dir: Option<PathBuf>,
}

impl Source {
    /// The folder that holds the data sets.
    ///
    /// # Errors
    /// Where none is given; the message says how to.
    pub fn folder(&self, name: &str) -> Result<PathBuf, NoFolder> {
        self.data_dir.clone().ok_or_else(|| NoFolder(name.to_string()))
    }
}

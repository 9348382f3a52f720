//! `DataDir`: the folder that holds the data sets.

use std::path::PathBuf;

/// A data set needs files, but no data folder was given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data set {0:?}: no data folder; give --data-dir DIR or set SNCN_DATA")]
pub struct NoFolder(pub String);

/// The folder that holds the data sets, if one was given; generated data sets need none.
#[derive(Clone, Debug, Default)]
pub struct DataDir {
    /// The folder.
    pub path: Option<PathBuf>,
}

impl DataDir {
    /// The folder; `name` is the data set that needs it.
    ///
    /// # Errors
    /// If no folder was given; the message says how to give one.
    pub fn folder(&self, name: &str) -> Result<PathBuf, NoFolder> {
        self.path.clone().ok_or_else(|| NoFolder(name.to_string()))
    }
}

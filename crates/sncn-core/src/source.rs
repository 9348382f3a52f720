//! `Source`: where data sets come from.

use anyhow::{Result, bail};
use std::path::PathBuf;

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
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        match &self.data_dir {
            Some(folder) => Ok(folder.clone()),
            None => bail!("data set {name:?}: no data folder; give --data-dir DIR or set SNCN_DATA"),
        }
    }
}

//! `Source`: where data sets come from.

use anyhow::{Result, bail};
use std::path::PathBuf;

/// Where data sets come from.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Folder that holds the data sets; `SNCN_DATA` serves where it is not given.
    pub data_dir: Option<PathBuf>,
}

impl Source {
    /// The folder that holds the data sets.
    ///
    /// # Errors
    /// Where none is given; the message says how to.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        match self
            .data_dir
            .clone()
            .or_else(|| std::env::var_os("SNCN_DATA").filter(|folder| !folder.is_empty()).map(PathBuf::from))
        {
            Some(folder) => Ok(folder),
            None => bail!("data set {name:?}: no data folder; give --data-dir DIR or set SNCN_DATA"),
        }
    }
}

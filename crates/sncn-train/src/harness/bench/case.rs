//! `Case`: something that a task measures.

use super::meter::Meter;
use anyhow::Result;

/// Something that a task measures.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is measured.
    pub about: &'static str,
    /// Measures it; the second is what `--only` names, such as one network of several.
    pub run: fn(&Meter, Option<&str>) -> Result<()>,
}

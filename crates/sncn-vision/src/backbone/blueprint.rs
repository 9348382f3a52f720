//! `Blueprint`: what a backbone is built from.

use sncn_core::{Layers, Vars};

/// What a backbone is built from.
pub struct Blueprint<'a> {
    /// Classes of the data set.
    pub classes: usize,
    /// Layers to attach to its blocks.
    pub layers: Layers<'a>,
    /// Where its variables are created.
    pub vars: &'a Vars,
}

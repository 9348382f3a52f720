//! `Blueprint`: what a backbone is built from.

use sncn_core::Vars;
use sncn_core::layer::LayerConfig;

/// What a backbone is built from.
pub struct Blueprint<'a> {
    /// Classes of the data set.
    pub classes: usize,
    /// Layers to hang on its blocks.
    pub layers: &'a [LayerConfig],
    /// Where its variables are created.
    pub vars: &'a Vars,
}

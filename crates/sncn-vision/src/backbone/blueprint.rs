//! `Blueprint`: the arguments of building a backbone.

use sncn_core::{Layers, Vars};

/// The arguments of [`build`](super::build) other than the name.
pub struct Blueprint<'a> {
    /// The number of classes.
    pub classes: usize,
    /// Layers to attach to the blocks.
    pub layers: Layers<'a>,
    /// The store in which the variables are created.
    pub vars: &'a Vars,
}

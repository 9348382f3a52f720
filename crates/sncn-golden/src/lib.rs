//! Reader of the golden reference values, for tests only.
//!
//! The folder is the one named by `SNCN_GOLDEN`, else the repository's own copy (`golden/`). Shapes, hyper-parameters and
//! salts come from the index files; nothing is assumed here.

mod case;
mod files;
mod rule;
mod runner;
mod trial;

pub use case::{Case, Index};
pub use files::{Array, Tensors, folder, json, lacks};
pub use rule::{fill, images, norm_and_probe, u};
pub use runner::{Needy, run};
pub use trial::{Rounding, Trial, holds, relative_error};

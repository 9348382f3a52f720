//! Network bodies: the maps between the layers of a network, and the operations on them.
//!
//! On the CPU in f32 a network's body is a recording. Norms, gates and mixing are affine maps that stay pending: the next
//! convolution applies them, and the activation, as it reads, so that a normalised, gated, mixed or activated map is never
//! written; statistics are computed as a convolution writes. candle sees the whole body as a single operation, whose backward pass
//! runs the recording in reverse. Elsewhere the same calls are tensor operations, the reference implementation.
//!
//! This module knows no layer by name: a layer is a rule ([`crate::rule::Rule`]) or an operation ([`Operation`]).

mod activation;
mod body;
mod conv;
mod end;
mod feature_map;
mod gather;
mod join;
mod later;
mod map;
mod observe;
mod operation;
mod pool;
mod pooled;
mod recording;
mod resize;
mod rules;
mod statistics;
mod tokens;

pub use end::MapGradients;
pub use feature_map::FeatureMap;
pub use observe::{Observer, observe};
pub use operation::{Dims, Operation};
pub use tokens::{Attention, Indexed, Lookup, TokenMap};

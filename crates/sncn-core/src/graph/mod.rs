//! Recordings: what flows between the layers of a network.
//!
//! On the CPU in f32 a network's body runs as one recording: norms, curves and gates are tables for every instance and
//! channel (y = a·x + b) that the next convolution applies as it reads, so the normalised, gated, mixed or rectified map is
//! never written; statistics are gathered as a convolution writes. candle sees a single operation, whose backward pass
//! replays the recording. Everywhere else the same calls are tensor operations, the reference implementation.
//!
//! No file here knows a layer by name: layers come as rules ([`crate::rule::Rule`]) or operations ([`Operation`]).

mod activation;
mod body;
mod buffer;
mod conv;
mod end;
mod feature_map;
mod gather;
mod join;
mod map;
mod observe;
mod operation;
mod pool;
mod recording;
mod resize;
mod rules;
mod statistics;
mod tokens;

pub use end::MapGradients;
pub use feature_map::FeatureMap;
pub use observe::{Observer, observe};
pub use operation::{Dims, Operation};
pub use tokens::{Attention, Lookup, TokenMap};

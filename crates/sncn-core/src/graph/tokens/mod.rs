//! Token vectors of sequences of different lengths, packed, in a recording.

mod attention;
mod embed;
mod linear;
mod rules;
mod token_map;

pub use attention::Attention;
pub use embed::Lookup;
pub use token_map::TokenMap;

//! Token vectors of packed sequences, and the operations on them.

mod attention;
mod embed;
mod linear;
mod rules;
mod token_map;

pub use attention::Attention;
pub use embed::{Indexed, Lookup};
pub use token_map::TokenMap;

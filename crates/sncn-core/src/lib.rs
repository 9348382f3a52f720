//! x
pub mod layer;
pub mod network;
pub mod ops;
pub mod pass;
pub mod seed;
pub mod stats;
pub mod vars;
pub use layer::{Hooks, Layer, LayerConfig, Place};
pub use network::Network;
pub use pass::{Mixture, Pass, Window};
pub use seed::Seed;
pub use vars::Vars;

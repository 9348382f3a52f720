//! SelfNorm, CrossNorm and the training core of sncn, on candle.
pub mod seed;
pub use seed::Seed;

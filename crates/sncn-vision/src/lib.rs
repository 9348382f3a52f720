//! Vision networks, data sets and corruptions of sncn.

pub mod backbone;
pub mod classify;
pub mod corruption;
pub mod dataset;
pub mod examples;

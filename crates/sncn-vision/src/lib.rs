//! Vision networks, data sets and corruptions of sncn.

pub mod backbone;
pub mod corruption;

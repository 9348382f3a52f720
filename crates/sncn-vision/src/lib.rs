//! Vision for sncn: networks, data sets, augmentation, corruptions, and the commands of its programs.

#[macro_use(out)]
extern crate sncn_train;

pub mod augment;
pub mod backbone;
pub mod classify;
pub mod corruption;
pub mod dataset;
pub mod examples;
pub mod picture;
pub mod segment;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub(crate) struct Readme;

//! Vision for sncn: networks, data sets, augmentation, corruptions, and the commands of its programs.

#[macro_use(out)]
extern crate sncn_train;

pub mod augment;
pub mod backbone;
pub mod classify;
pub mod corruption;
pub mod dataset;
pub mod examples;
pub mod initial;
pub mod picture;
pub mod preprocess;
pub mod restyle;
pub mod segment;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The example of the repository's README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct FrontPage;

/// The examples of `docs/extending.md`, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/extending.md")]
pub struct Extending;

//! The programs in sentences: what they do with good input, and what they say to bad input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

mod adapt;
mod classify;
mod common;
mod foreign;
mod huggingface;
mod import;
mod labelled;
mod measured;
mod objectives;
mod photos;
mod pictures;
mod predictions;
mod pretrained;
mod robustness;
mod segment;
mod sentiment;
mod shared;
mod shifted;
mod start;
mod styles;
mod tables;
mod test_sets;
mod texts;
mod told;
mod zoo;

//! The kernels in every form, against plain loops and finite differences.
#![allow(clippy::unwrap_used, missing_docs, reason = "helpers of tests may stop")]

mod attention;
mod bf16;
mod common;
mod elements;
mod forms;
mod maps;
mod ranks;
mod windows;

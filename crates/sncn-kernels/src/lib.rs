//! CPU kernels of sncn: plain slices in, plain slices out, channels last.
//!
//! Every kernel gives the same bytes for any number of threads: work is split by instance or into a fixed number of parts
//! that are added in order.
// `real.rs` hands raw pointers to `gemm`; `simd`, `tile` and the transforms use vector instructions. Each checks every
// extent first, so that no safe call can leave its slices.
#![allow(unsafe_code)]

pub mod affine;
pub mod attention;
pub mod bf16;
mod columns;
pub mod conv;
pub mod cross_entropy;
pub mod dense;
pub mod fused;
pub mod gelu;
mod lanes;
pub mod layer_norm;
pub mod linear;
pub mod optim;
mod pairs;
mod panels;
mod parts;
pub mod pool;
pub mod positions;
pub mod real;
pub mod reference;
pub mod resize;
pub mod rows;
mod scratch;
pub mod simd;
pub mod softmax;
pub mod stats;
pub mod threads;
mod tile;

/// The example of the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

//! CPU kernels of sncn: plain slices in, plain slices out, channels last.
//!
//! Every kernel gives the same bytes for any number of threads: work is split by instance or into a fixed number of parts
//! that are added in order.
// The dense products call `gemm`, whose interface takes raw pointers; `real.rs` checks every extent first.
#![allow(unsafe_code)]

pub mod affine;
pub mod conv;
pub mod pool;
pub mod positions;
pub mod product;
pub mod real;
pub mod resize;
pub mod stats;

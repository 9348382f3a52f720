//! The CPU kernels of sncn-core: functions of slices, with the channels last. No candle.
//!
//! Most functions take a [`simd::Form`], which says how they are computed; [`Form::current`](simd::Form::current) is the fastest of
//! the processor. [`Form::Naive`](simd::Form::Naive) is the reference implementation as plain loops, and so is every form for f64.
//!
//! A kernel gives the same bytes with any number of threads: work is split by instance, or into a fixed number of parts whose results
//! are added in order.
// `real.rs` gives raw pointers to `gemm`; `simd`, `tile` and the transforms use vector instructions. Each checks all lengths first, so
// that no safe call can leave its slices.
#![allow(unsafe_code)]

pub mod affine;
pub mod attention;
pub mod bf16;
mod columns;
pub mod conv;
pub mod cross_entropy;
mod dense;
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
pub mod ranks;
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

/// Runs the README's example as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

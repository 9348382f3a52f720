//! The kernels in every form, against plain loops and finite differences.

mod attention;
mod bf16;
mod common;
mod elements;
mod forms;
mod maps;
mod windows;

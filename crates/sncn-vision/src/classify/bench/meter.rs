//! `Meter`: times a step and prints its figures.

use anyhow::Result;
use serde_json::json;
use sncn_kernels::simd::Form;
use std::hint::black_box;
use std::time::Instant;

/// How it is measured.
#[derive(clap::Args, Debug)]
pub(super) struct Meter {
    /// Measurements of each figure, after one to warm up; the median is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) runs: u64,
    /// Threads (default: all processors).
    #[arg(long)]
    pub(super) threads: Option<usize>,
}

impl Meter {
    /// What the threads can multiply and add, in GFLOP/s.
    pub(super) fn peak(&self) -> f64 {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(processors) as f64 * Form::current().peak()
    }

    /// Median seconds of a step.
    pub(super) fn seconds<T>(&self, mut step: impl FnMut() -> Result<T>) -> Result<f64> {
        black_box(step()?);
        let mut times = Vec::new();
        for _ in 0..self.runs {
            let start = Instant::now();
            black_box(step()?);
            times.push(start.elapsed().as_secs_f64());
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    /// Prints images per second, with the limit that the convolutions' plain multiply-adds set: images of a step, and
    /// operations of one.
    pub(super) fn rate(&self, case: &str, what: &str, (images, operations): (usize, f64), seconds: f64) {
        let limit = 1e9 * self.peak() / operations;
        let rounded = |value: f64| (value * 1e3).round() / 1e3;
        let value = rounded(images as f64 / seconds);
        out!("{}", json!({"case": case, "what": what, "value": value, "unit": "images/s", "limit": rounded(limit)}));
    }
}

/// Prints a figure.
pub(super) fn emit(case: &str, what: &str, value: f64, unit: &str) {
    out!("{}", json!({"case": case, "what": what, "value": (value * 1e3).round() / 1e3, "unit": unit}));
}

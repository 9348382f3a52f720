//! `Meter`: times a step and prints its figures.

use anyhow::Result;
use serde_json::json;
use sncn_kernels::simd::Form;
use std::hint::black_box;
use std::time::Instant;

/// How a figure is measured.
#[derive(clap::Args, Debug)]
pub struct Meter {
    /// Measurements of each figure, after one to warm up; the median is printed.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub runs: u64,
    /// Threads (default: all processors).
    #[arg(long)]
    pub threads: Option<usize>,
}

impl Meter {
    /// What the threads can multiply and add in f32, in GFLOP/s.
    pub fn peak(&self) -> f64 {
        rayon::current_num_threads() as f64 * Form::current().peak()
    }

    /// Median seconds of a step.
    ///
    /// # Errors
    /// If a step fails.
    pub fn seconds<T>(&self, mut step: impl FnMut() -> Result<T>) -> Result<f64> {
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

    /// Median seconds of several steps that take turns, so that a machine that slows down slows all of them.
    ///
    /// # Errors
    /// If a step fails.
    pub fn alternating(&self, steps: &mut [&mut dyn FnMut() -> Result<()>]) -> Result<Vec<f64>> {
        let mut times = vec![Vec::new(); steps.len()];
        for run in 0..=self.runs {
            for (step, times) in steps.iter_mut().zip(&mut times) {
                let start = Instant::now();
                step()?;
                // the first warms up
                if run > 0 {
                    times.push(start.elapsed().as_secs_f64());
                }
            }
        }
        times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
        Ok(times.iter().map(|times| times[times.len() / 2]).collect())
    }

    /// Prints examples a second at a number of seconds a step, with the limit that plain multiply-adds at the processors' peak set:
    /// `examples` of a step, and `operations` (additions and multiplications) of one example.
    pub fn rate(&self, case: &str, what: &str, (examples, operations): (usize, f64), seconds: f64, unit: &str) {
        let (value, limit) = (rounded(examples as f64 / seconds), rounded(1e9 * self.peak() / operations));
        crate::out!("{}", json!({"case": case, "what": what, "value": value, "unit": unit, "limit": limit}));
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Prints a figure.
pub fn emit(case: &str, what: &str, value: f64, unit: &str) {
    crate::out!("{}", json!({"case": case, "what": what, "value": rounded(value), "unit": unit}));
}

/// Most memory that this process has held, in MB; 0 where the system does not report it.
pub fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kilobytes.unwrap_or(0.) / 1024.
}

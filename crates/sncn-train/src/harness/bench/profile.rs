//! Where the time of a training step goes.

use super::meter::{Meter, emit};
use anyhow::Result;
use sncn_core::observe;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// Seconds by operation, counted from one moment to the next.
struct Spent {
    since: Instant,
    by_operation: BTreeMap<&'static str, f64>,
}

impl Spent {
    fn add(&mut self, operation: &'static str) {
        let now = Instant::now();
        *self.by_operation.entry(operation).or_default() += now.duration_since(self.since).as_secs_f64();
        self.since = now;
    }
}

/// Prints mean milliseconds of a step by recorded operation; what no operation accounts for is the tape, the head, the loss and
/// the optimiser.
///
/// # Errors
/// If a step fails.
pub fn profile(meter: &Meter, case: &str, mut step: impl FnMut() -> Result<()>) -> Result<()> {
    step()?;
    let start = Instant::now();
    let spent = Rc::new(RefCell::new(Spent { since: start, by_operation: BTreeMap::new() }));
    let observed = spent.clone();
    observe(Some(Box::new(move |operation| observed.borrow_mut().add(operation))));
    for _ in 0..meter.runs {
        step()?;
        // what lies between the last operation of a step and the first of the next belongs to none of them
        spent.borrow_mut().add("tape, optimiser");
    }
    observe(None);
    let each = |seconds: f64| 1e3 * seconds / meter.runs as f64;
    for (operation, &seconds) in &spent.borrow().by_operation {
        emit(case, operation, each(seconds), "ms");
    }
    emit(case, "whole", each(start.elapsed().as_secs_f64()), "ms");
    Ok(())
}

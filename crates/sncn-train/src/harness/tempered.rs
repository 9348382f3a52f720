//! Temperature scaling in `evaluate`: the temperature is fitted on what was kept out of training, scored in the same way as the test sets.

use super::Recorder;
use super::scorer::Scorer;
use super::task::{Score, Task, TestSets, Trained};
use crate::evaluate::Extra;
use crate::temperature;
use anyhow::{Context, Result, bail, ensure};
use sncn_core::Pass;

/// Fits the temperature, records it and says what it does to the examples that it was fitted on.
///
/// # Errors
/// If the task measures no confidence, nothing was kept out of training, or no temperature is best.
pub(super) fn fit<T: Task>(
    trained: &Trained<T>,
    scorer: &Scorer<'_, T>,
    sets: &dyn TestSets<T>,
    pass: &Pass,
    recorder: &mut Recorder,
) -> Result<f64> {
    ensure!(T::INFO.is_calibrated(), "--temperature: the task {:?} measures no confidence; take it away", T::INFO.name);
    let name = format!("{}-validation", trained.run.train);
    let context = || format!("the temperature is fitted on {name}, what was kept out of training");
    let mut parts = sets.parts(&name).with_context(context)?;
    let Some(part) = parts.next() else { bail!("{}: it is empty", context()) };
    let (split, set) = part.with_context(context)?;
    let found = scorer.score(&split, &set, pass, Extra::Scores).with_context(context)?;
    let scored = found.scored().with_context(context)?;
    let fitted = temperature::fit(scored).with_context(context)?;
    recorder.add(&split, "temperature", fitted.temperature, scored.len());
    recorder.note(format!(
        "temperature {:.4}, fitted on {} examples of {split} (their NLL {:.4} before, {:.4} after)",
        fitted.temperature,
        scored.len(),
        fitted.before,
        fitted.after
    ));
    Ok(fitted.temperature)
}

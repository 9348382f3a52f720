//! `kill -9` at any moment.

use super::work::{Outcome, Reference, Scenario, Work, awaited};
use anyhow::{Context, Result};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

/// Kills a process and all that it started.
pub(super) fn kill(child: &mut Child) -> Result<()> {
    #[cfg(unix)]
    {
        let group = format!("kill -9 -- -{}", child.id());
        // what has just ended needs no signal
        Command::new("sh").args(["-c", &group]).stderr(std::process::Stdio::null()).status().context("kill")?;
    }
    #[cfg(not(unix))]
    child.kill()?;
    child.wait().context("a killed process")?;
    Ok(())
}

/// Starts the command and kills it after a part of the time that it takes; gives whether it was still running.
pub(super) fn interrupted(work: &Work, scenario: &Scenario, folder: &std::path::Path, after: Duration) -> Result<bool> {
    let mut child = work.start(scenario, folder)?;
    sleep(after);
    let was_running = child.try_wait()?.is_none();
    kill(&mut child)?;
    Ok(was_running)
}

/// The command killed so many times, each time in a new folder at a moment of its own, and run again.
pub(super) fn killed(work: &Work, scenario: &Scenario, reference: &Reference, times: usize) -> Result<Outcome> {
    let mut outcome = Outcome::new("killed", scenario.name);
    let mut late = 0;
    for trial in 0..times {
        let folder = tempfile::tempdir()?;
        work.furnish(folder.path())?;
        let after = reference.time.mul_f64(work.moment(trial));
        late += usize::from(!interrupted(work, scenario, folder.path(), after)?);
        let ended = awaited(work.start(scenario, folder.path())?)?;
        outcome.count(ended == Some(0), reference.differs(folder.path())?);
    }
    if late > 0 {
        outcome.remark(format!("{late} had ended before"));
    }
    Ok(outcome)
}

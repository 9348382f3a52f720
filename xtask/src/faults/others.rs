//! Two processes in one folder, and memory over a long evaluation.

use super::work::{Outcome, Reference, Scenario, Work, awaited};
use anyhow::Result;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// How often each is tried.
const TIMES: usize = 3;
/// How much memory may grow from the first fifth of a measurement to its last.
const GROWTH: f64 = 1.1;
/// The least number of times that memory is looked at, a tenth of a second apart.
const SEEN: usize = 50;

/// Two processes of one command in one folder. One of them may be refused; the command run again must have all.
pub(super) fn two_at_once(work: &Work, scenario: &Scenario, reference: &Reference) -> Result<Outcome> {
    let mut outcome = Outcome::new("two at once", scenario.name);
    let mut refused = 0;
    for trial in 0..TIMES {
        let folder = tempfile::tempdir()?;
        work.furnish(folder.path())?;
        let first = work.start(scenario, folder.path())?;
        sleep(reference.time.mul_f64(work.moment(trial) / 2.));
        let second = work.start(scenario, folder.path())?;
        let ended = [awaited(first)?, awaited(second)?];
        refused += ended.iter().filter(|code| **code == Some(1)).count();
        if ended.iter().all(|code| *code != Some(0)) {
            outcome.remark("neither ended well");
        }
        let again = awaited(work.start(scenario, folder.path())?)?;
        outcome.count(again == Some(0), reference.differs(folder.path())?);
    }
    if refused > 0 {
        outcome.remark(format!("{refused} refused"));
    }
    Ok(outcome)
}

/// The memory of a process in kilobytes, where the system tells.
fn resident(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// An evaluation of many images, whose memory must not grow.
pub(super) fn memory(work: &Work, images: usize) -> Result<Outcome> {
    let mut outcome = Outcome::new("memory", "robustness");
    let said = tempfile::NamedTempFile::new()?;
    let mut child = work.measure(images)?.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said.reopen()?).spawn()?;
    let mut seen = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        seen.extend(resident(child.id()));
        sleep(Duration::from_millis(100));
    };
    let part = (seen.len() / 5).max(1);
    let most = |part: &[f64]| part.iter().copied().fold(0., f64::max);
    // the first fifth has the trial of the cost in it
    let (first, last) =
        (most(seen.get(..part).unwrap_or_default()), most(seen.get(seen.len().saturating_sub(part)..).unwrap_or_default()));
    // buffers are taken as they are first needed
    let is_long = seen.len() >= SEEN;
    if !is_long {
        outcome.remark("too short to tell, or the system does not tell");
    } else {
        // what the program says that it measures
        let said = fs::read_to_string(said.path())?;
        let images = said.split(" = ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("an unknown number of");
        outcome.remark(format!(
            "{images} images: at most {:.0} MB in the first fifth, {:.0} MB in the last",
            first / 1e3,
            last / 1e3
        ));
    }
    outcome.count(status.success(), (is_long && last > GROWTH * first).then(|| "it grows".to_string()));
    Ok(outcome)
}

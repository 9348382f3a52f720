//! Clocks that are wrong: files of other times, and a time of day that jumps while the command runs.

use super::kill::interrupted;
use super::work::{Outcome, Reference, Scenario, Work, awaited};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// By how much clocks are wrong.
const YEARS: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// How often a jumping clock is tried: once from beginning to end, then on what a killed command left.
const TIMES: usize = 3;

/// A library that is loaded before the system's: every reading of the time of day is 20 years ahead or behind, in turn.
const JUMPS: &str = r"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

static int readings;

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*system_clock)(clockid_t, struct timespec *);
    if (!system_clock) system_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, __func__);
    int result = system_clock(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) {
        long years = __atomic_fetch_add(&readings, 1, __ATOMIC_RELAXED) % 2 ? 20 : -20;
        now->tv_sec += years * 365 * 24 * 3600;
    }
    return result;
}
";

/// The command interrupted, its files dated years back or ahead, and run again.
pub(super) fn dated(work: &Work, scenario: &Scenario, reference: &Reference) -> Result<Outcome> {
    let mut outcome = Outcome::new("clock off by 20 years", scenario.name);
    let now = SystemTime::now();
    let before = now.checked_sub(YEARS).context("a time 20 years ago")?;
    for (trial, time) in [before, now + YEARS, before].into_iter().enumerate() {
        let folder = tempfile::tempdir()?;
        work.furnish(folder.path())?;
        interrupted(work, scenario, folder.path(), reference.time.mul_f64(0.3 + 0.2 * trial as f64))?;
        date(folder.path(), time)?;
        let ended = awaited(work.start(scenario, folder.path())?)?;
        outcome.count(ended == Some(0), reference.differs(folder.path())?);
    }
    Ok(outcome)
}

/// Dates all files of a folder.
fn date(folder: &Path, time: SystemTime) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            date(&path, time)?;
        } else {
            File::options().append(true).open(&path)?.set_modified(time).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// That library, built in a folder; why not, where it cannot be.
fn library(folder: &Path) -> Result<PathBuf, String> {
    let (source, library) = (folder.join("jumps.c"), folder.join("jumps.so"));
    fs::write(&source, JUMPS).map_err(|error| error.to_string())?;
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").stderr(Stdio::null());
    match compiler.status() {
        Ok(status) if status.success() => Ok(library),
        Ok(_) => Err("the C compiler makes no library of it".to_string()),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// The command with a clock that jumps at every reading, and what a killed one left gone on with under such a clock.
pub(super) fn jumps(work: &Work, scenario: &Scenario, reference: &Reference) -> Result<Outcome> {
    const FAULT: &str = "clock jumps";
    if !cfg!(target_os = "linux") {
        return Ok(Outcome::left_out(FAULT, scenario.name, "Linux only"));
    }
    let beside = tempfile::tempdir()?;
    let library = match library(beside.path()) {
        Ok(library) => library,
        Err(why) => return Ok(Outcome::left_out(FAULT, scenario.name, &why)),
    };
    let mut outcome = Outcome::new(FAULT, scenario.name);
    for trial in 0..TIMES {
        let folder = tempfile::tempdir()?;
        work.furnish(folder.path())?;
        if trial > 0 {
            interrupted(work, scenario, folder.path(), reference.time.mul_f64(0.3 * trial as f64))?;
        }
        let mut command = work.command(scenario, folder.path());
        command.env("LD_PRELOAD", &library).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = awaited(command.spawn().context("cannot be started")?)?;
        outcome.count(ended == Some(0), reference.differs(folder.path())?);
    }
    Ok(outcome)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_a_program_jumps() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let Ok(library) = library(folder.path()) else { return Ok(()) };
        let year = || -> Result<i64> {
            let output = Command::new("date").arg("+%Y").env("LD_PRELOAD", &library).output()?;
            Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
        };
        let now = String::from_utf8_lossy(&Command::new("date").arg("+%Y").output()?.stdout).trim().parse::<i64>()?;
        assert!((year()? - now).abs() >= 19);
        Ok(())
    }
}

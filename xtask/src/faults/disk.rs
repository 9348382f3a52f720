//! Disks that fill up, and folders that may not be written.

use super::work::{Outcome, Reference, Scenario, Work};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The size of the disk that suffices, for any command.
const ENOUGH: u64 = 256 << 20;
/// The least that a disk of what a command reads has.
const LEAST: u64 = 16 << 10;

/// A small disk in memory at a folder, which ends with it.
struct Disk(TempDir);

fn done(command: &mut Command) -> Result<()> {
    let output = command.output().context("mount")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

impl Disk {
    fn new(bytes: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let size = format!("size={bytes}");
        done(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()))?;
        Ok(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn set(&self, option: &str) -> Result<()> {
        done(Command::new("mount").args(["-o", &format!("remount,{option}")]).arg(self.path()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // a folder that stays mounted is told by what cannot be removed
        let _ = done(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

/// What a command says that fails: an error in words, in one line at the end, and no panic.
fn told(outcome: &mut Outcome, output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return;
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if said.contains("panicked") {
        outcome.remark("it panicked");
    } else if !(last.contains("error") || last.contains("free space") || last.contains("could not")) {
        outcome.remark(format!("it says {last:?}"));
    }
}

/// The command on a disk that is too small, and again with room.
pub(super) fn filled(work: &Work, scenario: &Scenario, reference: &Reference, times: usize) -> Result<Outcome> {
    const FAULT: &str = "disk full";
    if let Err(error) = Disk::new(ENOUGH) {
        return Ok(Outcome::left_out(FAULT, scenario.name, &format!("{error:#}")));
    }
    let (mut outcome, mut enough) = (Outcome::new(FAULT, scenario.name), 0);
    for trial in 0..times {
        // from a disk for nothing but what is read to one for nearly all
        let share = (trial as f64 + work.moment(trial)) / times as f64;
        let disk = Disk::new(LEAST + (reference.bytes as f64 * share) as u64)?;
        work.furnish(disk.path())?;
        let output = work.finish(scenario, disk.path())?;
        enough += usize::from(output.status.success());
        told(&mut outcome, &output);
        disk.set(&format!("size={ENOUGH}"))?;
        let output = work.finish(scenario, disk.path())?;
        outcome.count(output.status.success(), reference.differs(disk.path())?);
    }
    if enough > 0 {
        outcome.remark(format!("{enough} had room"));
    }
    Ok(outcome)
}

/// The command in a folder that may not be written, and again where it may.
pub(super) fn read_only(work: &Work, scenario: &Scenario, reference: &Reference) -> Result<Outcome> {
    const FAULT: &str = "read-only folder";
    let disk = match Disk::new(ENOUGH) {
        Ok(disk) => disk,
        Err(error) => return Ok(Outcome::left_out(FAULT, scenario.name, &format!("{error:#}"))),
    };
    let mut outcome = Outcome::new(FAULT, scenario.name);
    work.furnish(disk.path())?;
    disk.set("ro")?;
    let output = work.finish(scenario, disk.path())?;
    if output.status.success() {
        outcome.remark("it ended well where nothing can be written");
    }
    told(&mut outcome, &output);
    disk.set("rw")?;
    let output = work.finish(scenario, disk.path())?;
    outcome.count(output.status.success(), reference.differs(disk.path())?);
    Ok(outcome)
}

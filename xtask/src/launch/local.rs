//! `--launcher local`: several cells at a time on this machine.

use super::status::{is_error, last_line};
use super::work::{Work, log_name, longest_first};
use anyhow::{Context, Result};
use sncn_record::Cell;
use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Makes a cell, with what it says going to a file; whether it came to its end.
pub(crate) type Make<'a> = &'a (dyn Fn(&Cell, &Path) -> Result<bool> + Sync);

/// What became of cells.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// How many were made.
    pub(crate) made: usize,
    /// What a message calls those that failed.
    pub(crate) failed: Vec<String>,
    /// Those at which the command was interrupted.
    pub(crate) interrupted: Vec<String>,
}

/// Makes groups of cells, `jobs` at a time, the longest first. A cell that fails stops its group alone.
pub(crate) fn run(jobs: usize, mut work: Work<'_>, make: Make<'_>) -> Made {
    longest_first(work.cells, &mut work.groups);
    let queue = Mutex::new(VecDeque::from(std::mem::take(&mut work.groups)));
    let made = Mutex::new(Made::default());
    let stopped = AtomicBool::new(false);
    let told = |change: &dyn Fn(&mut Made)| change(&mut made.lock().unwrap_or_else(PoisonError::into_inner));
    let next = || match stopped.load(Ordering::Relaxed) {
        true => None,
        false => queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front(),
    };
    // whether the next cell of the group can be made
    let one = |index: usize| -> bool {
        let name = work.name(index);
        match cell(&work, index, make) {
            Ok(Some(true)) => {
                eprintln!("{name}: done");
                told(&|made| made.made += 1);
                true
            }
            Ok(Some(false)) => {
                stopped.store(true, Ordering::Relaxed);
                told(&|made| made.interrupted.push(name.clone()));
                false
            }
            Ok(None) => {
                eprintln!("{name}: another process makes it");
                false
            }
            Err(error) => {
                eprintln!("{name}: failed: {error:#}");
                told(&|made| made.failed.push(name.clone()));
                false
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(group) = next() {
                    let _ = group.into_iter().all(one);
                }
            });
        }
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a cell; nothing where another process does.
fn cell(work: &Work<'_>, index: usize, make: Make<'_>) -> Result<Option<bool>> {
    let cell = &work.cells[index];
    let log = work.logs.join(log_name(cell));
    let at = || format!("{}: cannot be written", log.display());
    std::fs::create_dir_all(work.logs).with_context(at)?;
    let mut lock = File::options().create(true).append(true).open(&log).with_context(at)?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        // a file system without locks
        Err(TryLockError::Error(_)) | Ok(()) => {}
    }
    eprintln!("{}: begun, its output is in {}", work.name(index), log.display());
    let made = make(cell, &log);
    if let Err(error) = &made
        && !is_error(&last_line(&log))
    {
        // it ended without a word, by a signal for one
        writeln!(lock, "error: {error:#}").with_context(at)?;
    }
    made.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::complete;
    use serde_json::json;

    #[test]
    fn cells_are_made_beside_each_other_and_a_failure_stops_its_group_alone() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let table = complete(&[]);
        let cells: Vec<Cell> = (0..5).map(|seed| Cell { row: "a".to_string(), seed, run: json!({}) }).collect();
        let work = |groups: &[&[usize]]| Work {
            program: Path::new("none"),
            table: &table,
            logs: folder.path(),
            cells: &cells,
            groups: groups.iter().map(|group| group.to_vec()).collect(),
        };
        let seen = Mutex::new(Vec::new());
        let make = |cell: &Cell, log: &Path| {
            assert!(log.is_file());
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(cell.seed);
            if cell.seed == 1 { anyhow::bail!("no data") } else { Ok(true) }
        };
        let made = run(2, work(&[&[0, 3], &[1, 4], &[2]]), &make);
        assert_eq!((made.made, made.failed, made.interrupted), (3, vec!["[2/5] a, seed 1".to_string()], Vec::new()));
        let mut seen = seen.into_inner().unwrap_or_default();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3]);
        // one that another process makes is left to it
        let held = File::options().append(true).open(folder.path().join(log_name(&cells[2])))?;
        held.lock()?;
        assert_eq!(run(1, work(&[&[2], &[0]]), &|_, _| Ok(true)).made, 1);
        let stopped = run(1, work(&[&[0], &[3], &[4]]), &|_, _| Ok(false));
        assert_eq!((stopped.made, stopped.interrupted), (0, vec!["[1/5] a, seed 0".to_string()]));
        Ok(())
    }
}

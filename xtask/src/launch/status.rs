//! `--status`: what has become of a table's cells, by the files that are there.

use super::work::{log_name, name};
use crate::checkpoint;
use crate::table::Table;
use sncn_record::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// What became of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Done,
    Running,
    Failed,
    Begun,
    Missing,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Begun => "begun",
            Self::Missing => "missing",
        }
    }
}

/// Prints a line for every cell that is not done, and how many there are of each kind. `wanted` says why a cell has to be made, if it has.
pub(crate) fn print(table: &Table, cells: &[Cell], run_dirs: &[std::path::PathBuf], wanted: &dyn Fn(&Cell) -> Option<String>) {
    let mut counts: BTreeMap<State, usize> = BTreeMap::new();
    for (index, cell) in cells.iter().enumerate() {
        let why = wanted(cell);
        let (state, last) = state(&table.logs().join(log_name(cell)), &run_dirs[index], why.is_some());
        *counts.entry(state).or_default() += 1;
        match state {
            State::Done => {}
            State::Missing => out!("{}: {}", name(cells, index), why.unwrap_or_default()),
            _ if last.is_empty() => out!("{}: {}", name(cells, index), state.word()),
            _ => out!("{}: {}: {last}", name(cells, index), state.word()),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {}", state.word())).collect();
    out!("{}: {} cells: {}", table.path.display(), cells.len(), counts.join(", "));
}

/// The state of a cell, and the last line that it said.
fn state(log: &Path, run_dir: &Path, wanted: bool) -> (State, String) {
    let last = last_line(log);
    // what makes a cell holds its log; a lock for reading is never in its way for long
    let held = File::open(log).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    let state = match () {
        () if !wanted => State::Done,
        () if held => State::Running,
        () if is_error(&last) => State::Failed,
        () if checkpoint::run_of_newest(run_dir).is_some() => State::Begun,
        () => State::Missing,
    };
    (state, last)
}

/// The last line of a file with something on it; of one that was written over, as it last was. Empty where there is none.
pub(super) fn last_line(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let mut lines = text.lines().map(|line| line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default().trim());
    lines.rfind(|line| !line.is_empty()).unwrap_or_default().to_string()
}

/// Whether a program that said this last has failed.
pub(super) fn is_error(last: &str) -> bool {
    last.starts_with("error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_what_its_files_say() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (log, runs) = (folder.path().join("log"), folder.path().join("run"));
        assert_eq!(state(&log, &runs, true).0, State::Missing);
        fs::write(&log, "epoch 1\n\nstep 3\rstep 4\r\n")?;
        assert_eq!(state(&log, &runs, true), (State::Missing, "step 4".to_string()));
        let held = File::options().append(true).open(&log)?;
        held.lock()?;
        assert_eq!(state(&log, &runs, true).0, State::Running);
        held.unlock()?;
        fs::write(&log, "epoch 1\nerror: imdb: no such folder\n")?;
        assert_eq!(state(&log, &runs, true), (State::Failed, "error: imdb: no such folder".to_string()));
        assert_eq!(state(&log, &runs, false).0, State::Done);
        Ok(())
    }
}

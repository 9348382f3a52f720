//! Saved figures: `results/bench/<processor>-<commit>.jsonl`, a header line followed by one row per line; a later measurement of the
//! same commit has a number, `<commit>-2`.

use crate::files;
use anyhow::Result;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder of the files.
pub(crate) const FOLDER: &str = "results/bench";

/// The machine and the commit of the figures.
#[derive(Debug)]
pub(crate) struct Facts {
    cpu: String,
    cores: usize,
    commit: Option<String>,
    dirty: bool,
}

impl Facts {
    /// The facts of this machine and tree.
    pub(crate) fn here() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
        let git = |arguments: &[&str]| {
            let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
        };
        let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":!/results"]);
        Self {
            cpu: model.unwrap_or("unknown").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            commit: git(&["rev-parse", "HEAD"]),
            dirty: changed.is_some_and(|text| !text.is_empty()),
        }
    }

    /// The first line of a file; `more` are further keys.
    pub(crate) fn header(&self, more: &[(&str, Value)]) -> Value {
        let mut header = json!({
            "format": 1,
            "machine": {"cpu": self.cpu, "cores": self.cores, "os": format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)},
            "commit": self.commit,
            "dirty": self.dirty,
            "date": date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())),
        });
        for (key, value) in more {
            header[*key] = value.clone();
        }
        header
    }

    /// The path of a new file in `folder`: figures that were saved before are kept.
    fn path(&self, folder: &Path) -> PathBuf {
        let commit = self.commit.as_deref().map_or("unknown", |commit| commit.get(..12).unwrap_or(commit));
        let name = format!("{}-{commit}", slug(&self.cpu));
        let mut path = folder.join(format!("{name}.jsonl"));
        for number in 2.. {
            if !path.exists() {
                break;
            }
            path = folder.join(format!("{name}-{number}.jsonl"));
        }
        path
    }

    /// Writes a new file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn save(&self, header: &Value, rows: &[Value]) -> Result<PathBuf> {
        let lines: Vec<String> = std::iter::once(header).chain(rows).map(|line| format!("{line}\n")).collect();
        let path = self.path(Path::new(FOLDER));
        files::write_atomically(&path, lines.concat().as_bytes())?;
        Ok(path)
    }
}

/// The load average of the last minute, if the system has it.
pub(crate) fn load() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Lower-case letters and digits, with a dash for everything between them.
fn slug(name: &str) -> String {
    let letters: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).collect();
    letters.split_whitespace().collect::<Vec<_>>().join("-")
}

/// The UTC date of a time in seconds since 1970.
fn date(seconds: u64) -> String {
    let leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let (mut year, mut day) = (1970, seconds / 86_400);
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", day + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted() {
        let found = [0, 951_782_400, 951_868_800, 1_764_028_800, 1_767_225_599].map(date);
        assert_eq!(found, ["1970-01-01", "2000-02-29", "2000-03-01", "2025-11-25", "2025-12-31"]);
    }

    #[test]
    fn a_file_is_named_after_processor_and_commit() {
        let commit = Some("0123456789abcdef".to_string());
        let facts = Facts { cpu: "AMD EPYC(TM) 9B45".into(), cores: 2, commit, dirty: true };
        let folder = tempfile::tempdir().expect("a folder");
        let first = folder.path().join("amd-epyc-tm-9b45-0123456789ab.jsonl");
        assert_eq!(facts.path(folder.path()), first);
        std::fs::write(first, "figures").expect("a file");
        let second = facts.path(folder.path());
        assert_eq!(second, folder.path().join("amd-epyc-tm-9b45-0123456789ab-2.jsonl"));
        std::fs::write(second, "figures").expect("a file");
        assert!(facts.path(folder.path()).ends_with("amd-epyc-tm-9b45-0123456789ab-3.jsonl"));
        let header = facts.header(&[("threads", json!(2))]);
        assert_eq!((&header["machine"]["cores"], &header["threads"], &header["dirty"]), (&json!(2), &json!(2), &json!(true)));
        assert!(Facts { commit: None, ..facts }.path(folder.path()).ends_with("amd-epyc-tm-9b45-unknown.jsonl"));
    }
}

//! `Kept`: what was measured before an interrupt, in a file beside the results that grows by a line a part.

use crate::files::write_atomically;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sncn_record::Measurement;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One part of what is measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// What results call it.
    pub split: String,
    /// What was measured of it.
    pub measurements: Vec<Measurement>,
    /// The answers, where they are needed again: those to the clean images, and at the highest severity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<u32>,
}

/// The parts that are measured.
pub struct Kept {
    /// The file, and its path; nothing where no results are asked for.
    file: Option<(File, PathBuf)>,
    parts: Vec<Part>,
}

impl Kept {
    /// Opens what is kept beside `results`, of the model and protocol that `what` says; what was kept of others is dropped. With no
    /// results nothing is kept.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn open(results: Option<&Path>, what: &Value) -> Result<Self> {
        let Some(results) = results else { return Ok(Self { file: None, parts: Vec::new() }) };
        let mut name = results.file_name().unwrap_or_default().to_os_string();
        name.push(".partial");
        let path = results.with_file_name(name);
        let fails = || format!("{}: what is measured cannot be kept there", path.display());
        let text = if path.exists() { fs::read_to_string(&path).with_context(fails)? } else { String::new() };
        let (mut parts, mut lines) = (Vec::new(), text.split_inclusive('\n'));
        let mut end;
        let read = |line: &str| serde_json::from_str::<Value>(line).ok();
        if let Some(first) = lines.next().filter(|line| read(line).is_some_and(|first| first == *what)) {
            end = first.len();
            // a line that an interrupt cut short is no line
            for line in lines.take_while(|line| line.ends_with('\n')) {
                let Ok(part) = serde_json::from_str(line) else { break };
                parts.push(part);
                end += line.len();
            }
        } else {
            let mut first = serde_json::to_string(what)?;
            first.push('\n');
            write_atomically(&path, first.as_bytes())?;
            end = first.len();
        }
        let file = OpenOptions::new().append(true).open(&path).with_context(fails)?;
        file.set_len(end as u64).with_context(fails)?;
        Ok(Self { file: Some((file, path)), parts })
    }

    /// How many parts are measured.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// What was measured of a part, if it was.
    pub fn of(&self, split: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.split == split)
    }

    /// The answers to a part; none where they are not kept.
    pub fn answers(&self, split: &str) -> &[u32] {
        self.of(split).map(|part| part.answers.as_slice()).unwrap_or_default()
    }

    /// Keeps a part.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn add(&mut self, part: Part) -> Result<()> {
        self.line(&part)?;
        self.parts.push(part);
        Ok(())
    }

    /// Removes the file, when the results are written.
    pub fn remove(self) {
        if let Some((file, path)) = self.file {
            drop(file);
            // one that stays is read and replaced by the next run
            let _ = fs::remove_file(path);
        }
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_string(value)?;
        text.push('\n');
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_data());
        written.with_context(|| format!("{}: could not be written; free space and run the same command again", path.display()))
    }
}

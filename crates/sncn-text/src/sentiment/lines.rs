//! Texts a line, from files or standard input, as they come.

use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Where texts come from.
#[derive(clap::Args, Debug)]
pub struct Lines {
    /// Files with a text a line; standard input where there is none, or `-`.
    files: Vec<PathBuf>,
}

impl Lines {
    /// Calls `each` with every line, without what ends it; what is not UTF-8 becomes the replacement character.
    ///
    /// # Errors
    /// If a file cannot be read, or `each` fails.
    pub fn each(&self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let stdin = [PathBuf::from("-")];
        for file in if self.files.is_empty() { &stdin[..] } else { &self.files } {
            let (mut reader, name): (Box<dyn BufRead>, _) = if file == Path::new("-") {
                (Box::new(std::io::stdin().lock()), "standard input".to_string())
            } else {
                let opened = File::open(file).with_context(|| format!("{}: not readable", file.display()))?;
                (Box::new(BufReader::new(opened)), file.display().to_string())
            };
            let mut line = Vec::new();
            loop {
                line.clear();
                if reader.read_until(b'\n', &mut line).with_context(|| name.clone())? == 0 {
                    break;
                }
                each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']))?;
            }
        }
        Ok(())
    }
}

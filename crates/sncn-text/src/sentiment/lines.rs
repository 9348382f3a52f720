//! Texts a line, from files or standard input, as they come.

use anyhow::{Context, Result};
use sncn_train::text_file;
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
    /// Calls `each` with every line, without what ends it; what is not UTF-8 is decoded and told.
    ///
    /// # Errors
    /// If a file cannot be read, or `each` fails.
    pub fn each(&self, mut each: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let stdin = [PathBuf::from("-")];
        for file in if self.files.is_empty() { &stdin[..] } else { &self.files } {
            let (reader, name): (Box<dyn BufRead>, _) = if file == Path::new("-") {
                (Box::new(std::io::stdin().lock()), "standard input".to_string())
            } else {
                let opened = File::open(file).with_context(|| format!("{}: not readable", file.display()))?;
                (Box::new(BufReader::new(opened)), file.display().to_string())
            };
            let remark = text_file::each_line(reader, &mut each).with_context(|| name.clone())?;
            remark.into_iter().for_each(|remark| eprintln!("{name}: {remark}"));
        }
        Ok(())
    }
}

//! The `shell` command: what shells and `man` know of a program.

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell as Name;
use std::path::PathBuf;

/// Write completions for a shell, and man pages
///
/// `sncn-classify shell bash > ~/.local/share/bash-completion/completions/sncn-classify`
#[derive(clap::Args, Debug)]
pub(super) struct Shell {
    /// The shell whose completions are printed: bash, elvish, fish, powershell or zsh.
    #[arg(value_enum, hide_possible_values = true, required_unless_present = "man")]
    shell: Option<Name>,
    /// Write man pages of the program and its commands into this folder.
    #[arg(long, value_name = "FOLDER")]
    man: Option<PathBuf>,
}

impl Shell {
    /// Runs the command for a program of that name.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub(super) fn run(&self, program: &str, command: &mut Command) -> Result<()> {
        if let Some(folder) = &self.man {
            let fails = || format!("{}: man pages cannot be written there", folder.display());
            std::fs::create_dir_all(folder).with_context(fails)?;
            clap_mangen::generate_to(command.clone(), folder).with_context(fails)?;
            crate::out!("{}: man pages; man {} reads one", folder.display(), folder.join(format!("{program}.1")).display());
        }
        if let Some(shell) = self.shell {
            let mut text = Vec::new();
            clap_complete::generate(shell, command, program, &mut text);
            crate::out!("{}", String::from_utf8_lossy(&text).trim_end());
        }
        Ok(())
    }
}

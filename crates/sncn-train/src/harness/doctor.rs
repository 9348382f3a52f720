//! The `doctor` command: what this machine has, and what will be slow on it.

use super::cli;
use super::provenance;
use super::task::Task;
use anyhow::Result;
use sncn_kernels::simd::Form;
use std::path::PathBuf;

/// Memory below which training of the tables' networks does not fit, in bytes.
const SMALL: u64 = 2 << 30;

/// Say what this machine has: processor, memory, data sets, and what will be slow
#[derive(clap::Args, Debug)]
pub(super) struct Doctor {
    /// Folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Doctor {
    /// Runs the command.
    ///
    /// # Errors
    /// None; what is missing is told.
    pub(super) fn run<T: Task>(&self) -> Result<()> {
        let (built, machine, form) = (provenance::built(), provenance::machine(), Form::current());
        let dirty = if built.dirty { ", with changes" } else { "" };
        let commit = built.commit.map_or("an unknown commit".to_string(), |commit| format!("commit {commit}{dirty}"));
        crate::out!("program     {} {}, {commit}", T::INFO.program, env!("CARGO_PKG_VERSION"));
        crate::out!("processor   {}, {}", machine.cpu, machine.os);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        crate::out!("threads     {threads} (--threads takes fewer)");
        crate::out!("kernels     {form:?} (SNCN_KERNELS chooses among {:?})", Form::available());
        let memory = memory();
        let told =
            memory.map_or("unknown".to_string(), |bytes| format!("{:.1} GiB available", bytes as f64 / f64::from(1 << 30)));
        crate::out!("memory      {told}");
        let data_dir = cli::data_dir(self.data_dir.as_deref());
        match &data_dir.path {
            Some(path) => crate::out!("data        {}", path.display()),
            None => {
                crate::out!("data        no folder: give --data-dir or set SNCN_DATA; cargo xtask data lists what can be fetched")
            }
        }
        for (name, found) in T::found(&data_dir) {
            match found {
                Ok(found) => crate::out!("  {name:13} {found}"),
                Err(error) => crate::out!("  {name:13} not found: {error}"),
            }
        }
        let slow = slow(form, threads, memory, cfg!(debug_assertions));
        slow.iter().for_each(|line| crate::out!("slow        {line}"));
        if slow.is_empty() {
            crate::out!("slow        nothing that is known");
        }
        Ok(())
    }
}

/// Bytes of memory that programs can have, where the system tells.
fn memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What will be slow or fail on such a machine, with what to do.
fn slow(form: Form, threads: usize, memory: Option<u64>, unoptimised: bool) -> Vec<String> {
    let mut found = Vec::new();
    match form {
        Form::Avx512 | Form::Avx2 => {}
        Form::Portable => {
            found.push("convolutions run without AVX2: several times slower than figures in the documentation".to_string())
        }
        Form::Naive => found.push("SNCN_KERNELS asks for plain loops, which are for tests; unset it".to_string()),
    }
    if threads == 1 {
        found.push("one thread: reading images and training take turns".to_string());
    }
    if memory.is_some_and(|bytes| bytes < SMALL) {
        found.push("less than 2 GiB of memory: use a smaller batch_size, and accumulate (docs/tables.md)".to_string());
    }
    if unoptimised {
        found.push("this is a development build; cargo build --release makes one that is faster outside the kernels".to_string());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_is_told_with_what_to_do() {
        assert!(slow(Form::Avx512, 8, Some(8 << 30), false).is_empty());
        let all = slow(Form::Portable, 1, Some(1 << 30), true);
        assert_eq!(all.len(), 4);
        assert!(all[2].contains("batch_size") && all[3].contains("--release"), "{all:?}");
        assert!(slow(Form::Naive, 2, None, false)[0].contains("unset"));
    }
}

//! `--launcher slurm`: the cells of a table as an array job, each group of cells that share a network a task.

use super::work::{Work, longest_first};
use crate::program;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds before its time is over at which a task writes its checkpoint and is queued again.
const BEFORE: u32 = 120;
/// The most tasks of an array where Slurm does not say, its own default.
const USUAL: usize = 1000;

/// What is asked of Slurm.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// Slurm's partition (default: that of the site).
    #[arg(long, requires = "launcher")]
    partition: Option<String>,
    /// The longest that a task may take before it is queued again, as Slurm reads it (`4:00:00`).
    #[arg(long, requires = "launcher")]
    time: Option<String>,
    /// Processors of a task.
    #[arg(long, requires = "launcher", value_parser = clap::value_parser!(u32).range(1..))]
    cpus: Option<u32>,
    /// Tasks at a time.
    #[arg(long, value_name = "K", requires = "launcher", value_parser = clap::value_parser!(u32).range(1..))]
    max_parallel: Option<u32>,
}

impl Options {
    /// The first that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let all = [
            (self.partition.is_some(), "partition"),
            (self.time.is_some(), "time"),
            (self.cpus.is_some(), "cpus"),
            (self.max_parallel.is_some(), "max-parallel"),
        ];
        all.into_iter().find(|(given, _)| *given).map(|(_, name)| name)
    }
}

/// Writes array scripts and hands them to Slurm.
pub(super) fn submit(options: &Options, work: &Work<'_>, arguments: &[String], dry: bool) -> Result<()> {
    let mut groups = work.groups.clone();
    longest_first(work.cells, &mut groups);
    let most = if dry { USUAL } else { largest_array()? };
    for part in groups.chunks(most) {
        let text = script(options, work, part, arguments)?;
        if dry {
            out!("{text}");
            continue;
        }
        let path = unused(work.logs)?;
        fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
        let output = Command::new("sbatch").arg("--parsable").arg(&path).output().map_err(missing)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: sbatch refuses it: {}", path.display(), said.trim());
        let job = String::from_utf8_lossy(&output.stdout).trim().to_string();
        out!("{}: job {job}, {} tasks; --status tells how they do, scancel {job} stops them", path.display(), part.len());
    }
    Ok(())
}

fn missing(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!(
            "there is no sbatch here: Slurm is not installed on this machine, or not in PATH; --launcher local makes cells here, --shard I/N a part"
        ),
        _ => anyhow::Error::new(error).context("sbatch cannot be started"),
    }
}

/// The most tasks that this site takes in an array.
fn largest_array() -> Result<usize> {
    let output = Command::new("scontrol").args(["show", "config"]).output().map_err(missing)?;
    ensure!(output.status.success(), "scontrol show config: {}", String::from_utf8_lossy(&output.stderr).trim());
    let found = largest_in(&String::from_utf8_lossy(&output.stdout));
    if found == Some(0) {
        bail!(
            "this cluster takes no array jobs (MaxArraySize is 1 or less); --shard I/N makes a part of the cells in a job of its own"
        )
    }
    Ok(found.unwrap_or(USUAL))
}

/// The largest number of a task, from what `scontrol show config` says; task numbers begin at 1 here.
fn largest_in(config: &str) -> Option<usize> {
    let line = config.lines().find(|line| line.trim_start().starts_with("MaxArraySize"))?;
    line.split_once('=')?.1.trim().parse::<usize>().ok().map(|size| size.saturating_sub(1))
}

/// A name that no script has yet.
fn unused(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let names = (1..).map(|number| folder.join(format!("array-{number}.sh")));
    names.into_iter().find(|path| !path.exists()).context("no name is left")
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The script of an array job; task k makes the k-th of `groups`.
fn script(options: &Options, work: &Work<'_>, groups: &[Vec<usize>], arguments: &[String]) -> Result<String> {
    let (folder, xtask) = (std::env::current_dir()?, std::env::current_exe()?);
    let mut lines = vec!["#!/bin/bash".to_string()];
    let mut asked = vec![
        format!("--job-name=sncn-{}", crate::table::safe(&work.table.name)),
        format!("--array=1-{}{}", groups.len(), options.max_parallel.map_or(String::new(), |most| format!("%{most}"))),
        format!("--output={}/slurm-%A_%a.log", work.logs.display()),
        "--open-mode=append".to_string(),
        "--requeue".to_string(),
        format!("--signal=B:USR1@{BEFORE}"),
    ];
    asked.extend(options.partition.as_ref().map(|name| format!("--partition={name}")));
    asked.extend(options.time.as_ref().map(|time| format!("--time={time}")));
    asked.extend(options.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
    lines.extend(asked.into_iter().map(|option| format!("#SBATCH {option}")));
    let cells = groups.iter().map(|group| group.iter().map(|index| (index + 1).to_string()).collect::<Vec<_>>().join(","));
    let words = arguments.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let (variable, program) = (program::variable(work.table.task().program), work.program.display().to_string());
    lines.extend([
        format!("cd {} || exit 1", quoted(&folder.display().to_string())),
        format!("export {variable}={}", quoted(&program)),
        format!("cells=(none {})", cells.collect::<Vec<_>>().join(" ")),
        "stop() { kill -TERM \"$child\" 2>/dev/null; wait \"$child\"; }".to_string(),
        "# the time is nearly over: the checkpoint is written, and the task goes on from it later".to_string(),
        "again() { stop; scontrol requeue \"${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}\"; exit 0; }".to_string(),
        "trap again USR1".to_string(),
        "trap 'stop; exit 130' TERM INT USR2".to_string(),
        format!(
            "{} reproduce {words} --launcher local --jobs 1 --threads \"${{SLURM_CPUS_PER_TASK:-1}}\" \\",
            quoted(&xtask.display().to_string())
        ),
        "  --cell \"${cells[$SLURM_ARRAY_TASK_ID]}\" &".to_string(),
        "child=$!".to_string(),
        "wait \"$child\"".to_string(),
    ]);
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::complete;
    use serde_json::json;
    use sncn_record::Cell;

    #[test]
    fn a_script_makes_every_group_once_and_asks_for_what_was_given() -> Result<()> {
        let table = complete(&[]);
        let run = |epochs: usize| json!({"epochs": epochs});
        let cells: Vec<Cell> = [1, 5, 1].map(|epochs| Cell { row: "a".to_string(), seed: 0, run: run(epochs) }).into();
        let (program, logs) = (Path::new("/a b/it's"), Path::new("runs/t/logs"));
        let work = Work { program, table: &table, logs, cells: &cells, groups: Vec::new() };
        let options = Options {
            partition: Some("long".to_string()),
            time: Some("4:00:00".to_string()),
            cpus: Some(8),
            max_parallel: Some(3),
        };
        let arguments = ["--table", "models/t.json", "--rows", "a b"].map(str::to_string);
        let text = script(&options, &work, &[vec![1], vec![0, 2]], &arguments)?;
        for line in [
            "#SBATCH --array=1-2%3",
            "#SBATCH --partition=long",
            "#SBATCH --time=4:00:00",
            "#SBATCH --cpus-per-task=8",
            "#SBATCH --output=runs/t/logs/slurm-%A_%a.log",
            "#SBATCH --signal=B:USR1@120",
            r"export SNCN_CLASSIFY='/a b/it'\''s'",
            "cells=(none 2 1,3)",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.contains("reproduce '--table' 'models/t.json' '--rows' 'a b' --launcher local --jobs 1"), "{text}");
        let plain = script(&Options::default(), &work, &[vec![0]], &[])?;
        assert!(!plain.contains("--partition") && !plain.contains("--time=") && plain.contains("--array=1-1\n"), "{plain}");
        let mut shell = Command::new("bash").arg("-n").stdin(std::process::Stdio::piped()).spawn()?;
        std::io::Write::write_all(&mut shell.stdin.take().context("stdin")?, text.as_bytes())?;
        assert!(shell.wait()?.success(), "no script of bash:\n{text}");
        Ok(())
    }

    #[test]
    fn the_largest_array_is_what_the_site_says() {
        assert_eq!(largest_in("MaxArraySize            = 1001\nMaxJobCount = 5\n"), Some(1000));
        assert_eq!((largest_in("MaxArraySize = 1"), largest_in("MaxJobs = 4")), (Some(0), None));
    }
}

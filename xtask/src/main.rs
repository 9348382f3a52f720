//! `cargo xtask tidy`: holds the tree to ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Lines that a source file may have.
const LINES: usize = 400;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

fn check(path: &Path, text: &str, problems: &mut Vec<String>) {
    let name = path.display().to_string();
    let lines = text.lines().count();
    if lines > LINES {
        problems.push(format!("{name}: {lines} lines, {LINES} are allowed: split it"));
    }
    let pure = name.contains("sncn-core/src") && !name.contains("/harness/") && !name.ends_with("checkpoint.rs");
    for (number, line) in text.lines().enumerate() {
        let mut say = |what: &str| problems.push(format!("{name}:{}: {what}", number + 1));
        if !name.contains("sncn-kernels") && line.trim_start().starts_with(concat!("unsafe", " {")) {
            say("unsafe outside sncn-kernels");
        }
        if pure && [concat!("std::", "fs"), concat!("std::", "env"), concat!("print", "ln!")].iter().any(|w| line.contains(w)) {
            say("sncn-core does no I/O outside harness and checkpoint");
        }
        if [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("FIX", "ME")].iter().any(|w| line.contains(w)) {
            say("unfinished");
        }
    }
}

fn tidy() -> std::io::Result<Vec<String>> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    sources(Path::new("crates"), &mut files)?;
    sources(Path::new("xtask"), &mut files)?;
    files.sort();
    for file in &files {
        check(file, &fs::read_to_string(file)?, &mut problems);
    }
    let tree = Command::new("cargo").args(["tree", "-p", "xtask", "--prefix", "none"]).output()?;
    if String::from_utf8_lossy(&tree.stdout).contains("candle-core") {
        problems.push("xtask links candle-core".to_string());
    }
    Ok(problems)
}

fn main() -> ExitCode {
    if std::env::args().skip(1).ne(["tidy".to_string()]) {
        eprintln!("usage: cargo xtask tidy");
        return ExitCode::from(2);
    }
    match tidy() {
        Ok(problems) if problems.is_empty() => {
            println!("tidy");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            problems.iter().for_each(|problem| eprintln!("{problem}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unfinished_files_are_named() {
        let mut problems = Vec::new();
        check(Path::new("a.rs"), &"x\n".repeat(401), &mut problems);
        check(Path::new("b.rs"), concat!("todo", "!()"), &mut problems);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}

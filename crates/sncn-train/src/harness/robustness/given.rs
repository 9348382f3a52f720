//! What users name: shifts, severities, files.

use crate::harness::cli::Severities;
use anyhow::{Result, ensure};
use std::fmt::Display;
use std::path::Path;

/// The names that an option gives, or the usual ones.
///
/// # Errors
/// If one is named twice.
pub fn names<'a>(option: &str, given: &[String], usual: impl Iterator<Item = &'a str>) -> Result<Vec<String>> {
    if given.is_empty() {
        return Ok(usual.map(str::to_string).collect());
    }
    once(option, given)?;
    Ok(given.to_vec())
}

/// The severities that are given, or all five.
///
/// # Errors
/// If one is given twice.
pub fn severities(given: &Severities) -> Result<Vec<usize>> {
    let severities = given.given().unwrap_or_else(|| (1..=5).collect());
    once("--severities", &severities)?;
    Ok(severities)
}

/// Refuses a limit of nothing.
///
/// # Errors
/// If it is 0.
pub fn check_limit(limit: Option<usize>) -> Result<()> {
    ensure!(limit != Some(0), "--limit is 0; at least 1 is accepted");
    Ok(())
}

fn once<T: PartialEq + Display>(option: &str, all: &[T]) -> Result<()> {
    let twice = (1..all.len()).find(|&at| all[..at].contains(&all[at])).map(|at| &all[at]);
    match twice {
        Some(twice) => anyhow::bail!("{option} names one twice, {twice}; each once is accepted"),
        None => Ok(()),
    }
}

/// What a file or folder is called: its name, also of a path such as `.`.
pub fn called(path: &Path) -> String {
    let whole = if path.file_name().is_some() { path.to_path_buf() } else { path.canonicalize().unwrap_or_default() };
    whole.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_given_ones_once_each() {
        let given = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("--shifts", &[], ["a", "b"].into_iter()).unwrap(), ["a", "b"]);
        assert_eq!(names("--shifts", &given(&["c"]), ["a"].into_iter()).unwrap(), ["c"]);
        let error = names("--shifts", &given(&["c", "d", "c"]), ["a"].into_iter()).unwrap_err().to_string();
        assert_eq!(error, "--shifts names one twice, c; each once is accepted");
        assert!(check_limit(Some(0)).is_err() && check_limit(None).is_ok());
    }

    #[test]
    fn a_path_is_called_by_its_last_part() {
        assert_eq!(called(Path::new("runs/model.onnx")), "model.onnx");
        assert_eq!(called(Path::new("photos/")), "photos");
        let here = std::env::current_dir().unwrap();
        assert_eq!(called(Path::new(".")), here.file_name().unwrap().to_string_lossy());
    }
}

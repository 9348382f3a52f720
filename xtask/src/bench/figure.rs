//! `Figure`: a measurement, which both sides print as one JSON object per line.

use crate::child::{self, Ending};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fmt;
use std::process::{Command, ExitStatus};

/// A measurement.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Figure {
    /// The network or layer.
    pub(crate) case: String,
    /// The quantity.
    pub(crate) what: String,
    /// The median over the runs of one process.
    pub(crate) value: f64,
    /// The unit of the value; a rate ends in `/s`.
    pub(crate) unit: String,
    /// Bytes that must be moved.
    #[serde(default)]
    pub(crate) bytes: Option<f64>,
    /// Floating-point operations that must be done.
    #[serde(default)]
    pub(crate) operations: Option<f64>,
    /// The best value that this machine allows, in the same unit.
    #[serde(default)]
    pub(crate) limit: Option<f64>,
}

/// This program was interrupted.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// How a program failed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    said: String,
}

impl Failure {
    /// Whether the program does not know the case. Programs of earlier versions had the cases as values of an argument.
    pub(crate) fn is_unknown_case(&self) -> bool {
        let earlier =
            self.status.code() == Some(2) && self.said.contains("invalid value") && self.said.contains("possible values");
        earlier || self.status.code() == Some(1) && self.said.contains("error: unknown case ")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.said.lines().map(str::trim).rfind(|line| !line.is_empty());
        write!(f, "{}: {}", self.status, last.unwrap_or("it said nothing on standard error"))
    }
}

/// The standard output of a program.
///
/// # Errors
/// If the program cannot be started, or [`Interrupted`].
pub(crate) fn printed(command: &mut Command) -> Result<Result<String, Failure>> {
    match child::run_quietly(command)? {
        (Ending::Done(output), _) => Ok(Ok(String::from_utf8_lossy(&output).into_owned())),
        (Ending::Failed(status), said) => Ok(Err(Failure { status, said })),
        (Ending::Interrupted, _) => Err(Interrupted.into()),
    }
}

/// The figures that a program prints; lines that are not JSON objects are skipped.
///
/// # Errors
/// As [`printed`], and if the program prints no figure, or an object that is not a figure.
pub(crate) fn figures(command: &mut Command) -> Result<Result<Vec<Figure>, Failure>> {
    let text = match printed(command)? {
        Ok(text) => text,
        Err(failure) => return Ok(Err(failure)),
    };
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with('{'));
    let found = lines.map(|line| {
        serde_json::from_str(line)
            .with_context(|| format!("not a figure: {line}; expected {{\"case\", \"what\", \"value\", \"unit\"}}"))
    });
    let found: Vec<Figure> = found.collect::<Result<_>>()?;
    ensure!(!found.is_empty(), "it printed no figure; expected a line {{\"case\", \"what\", \"value\", \"unit\"}} for each");
    Ok(Ok(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Result<Vec<Figure>, Failure>> {
        figures(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn figures_are_read_and_other_lines_passed_over() {
        let script = r#"echo loading; echo '{"case":"a","what":"b","value":2,"unit":"ms","bytes":8,"more":[]}'"#;
        let found = shell(script).unwrap().unwrap();
        assert_eq!((found.len(), found[0].value, found[0].bytes, found[0].limit), (1, 2., Some(8.), None));
        assert!(format!("{:#}", shell("true").unwrap_err()).contains("printed no figure"));
        assert!(format!("{:#}", shell("echo '{}'").unwrap_err()).contains("not a figure: {}"));
    }

    #[test]
    fn a_failure_ends_with_the_last_line_it_said() {
        let failure = shell("echo one >&2; echo two >&2; echo >&2; exit 3").unwrap().unwrap_err();
        assert_eq!(failure.to_string(), "exit status: 3: two");
        assert!(!failure.is_unknown_case());
        let clap = "echo \"error: invalid value 'memory' for '<CASE>'\" >&2; echo '[possible values: wrn]' >&2; exit 2";
        assert!(shell(clap).unwrap().unwrap_err().is_unknown_case());
        let ours = "echo 'error: unknown case \"memory\"; known: list, row, wrn' >&2; exit 1";
        assert!(shell(ours).unwrap().unwrap_err().is_unknown_case());
    }
}

//! `Results`: a results file as JSON lines: a header line, one measurement a line, a closing line.
//!
//! The file is written whole and renamed, so one that exists is complete; the closing line proves it.

use crate::provenance::Build;
use crate::run::read_current;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::HashSet;

/// The layout that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The machine a result was made on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Logical processors it has (not how many were used: that cannot change a result).
    pub cores: usize,
    /// Operating system and architecture.
    pub os: String,
}

/// The first line of a results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of this layout, [`FORMAT`].
    pub format: u32,
    /// The table.
    #[serde(default)]
    pub table: String,
    /// The row.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// The resolved run.
    #[serde(deserialize_with = "read_current")]
    pub run: Value,
    /// The source that the program which evaluated was built from.
    #[serde(flatten)]
    pub built: Build,
    /// The same of the program which trained; unknown in files of earlier versions.
    #[serde(default, skip_serializing_if = "Build::is_unknown")]
    pub trained: Build,
    /// Version of the program.
    #[serde(default)]
    pub version: String,
    /// Where it ran.
    #[serde(default)]
    pub machine: Machine,
    /// Which checkpoint was evaluated: `last` or `validation`.
    #[serde(default, deserialize_with = "read_selection")]
    pub selection: String,
    /// What a reader should know, such as generated frost.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Class names, in label order.
    #[serde(default)]
    pub classes: Vec<String>,
}

/// Files of earlier versions say `held`.
fn read_selection<'de, D: Deserializer<'de>>(name: D) -> Result<String, D::Error> {
    let name = String::deserialize(name)?;
    Ok(if name == "held" { "validation".to_string() } else { name })
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Test set, or `<set>/<corruption>/<severity>`.
    pub split: String,
    /// `error`, `macro_f1`, `nll`, `ece`, with more than five classes `top5_error`; for a set of some of the network's classes, over
    /// which these are, `error_all_classes` and `top5_error_all_classes` too; for the corruptions of ImageNet as a whole `mce_alexnet`
    /// and `relative_mce_alexnet` (see [`corruption_error`](crate::corruption_error)); for a set that is not corrupted also `reliability/<bin>/{count,accuracy,confidence}`
    /// and `confusion/<label>/<prediction>`, where they are not 0. Of labelled pixels `miou`, `miou_present`, `mean_accuracy`,
    /// `pixel_accuracy` and `iou/<class>`. With a temperature `nll_scaled` and `ece_scaled`, and of the validation set that it was fitted on
    /// `temperature`.
    pub metric: String,
    /// Its value, as a fraction; counts as they are.
    pub value: f64,
    /// Examples it was taken over, or pixels.
    pub n: usize,
}

/// The last line of a results file.
#[derive(Serialize, Deserialize)]
struct Closing {
    complete: bool,
    measurements: usize,
}

/// A results file.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Its first line.
    pub header: Header,
    /// Its numbers, in order.
    pub measurements: Vec<Measurement>,
}

/// Why a results file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// Too few lines.
    #[error("{0} line(s); a header and a closing line are wanted")]
    Lines(usize),
    /// The closing line is missing.
    #[error("the last line does not close the file: it is cut short")]
    CutShort(#[source] serde_json::Error),
    /// The closing line says so.
    #[error("the last line does not say that the file is complete")]
    Incomplete,
    /// Lines are missing, or too many.
    #[error("{found} measurements, but the last line says {said}")]
    Count {
        /// Lines between the first and the last.
        found: usize,
        /// As many as the closing line says.
        said: usize,
    },
    /// The first line.
    #[error("line 1 is no header")]
    Header(#[source] serde_json::Error),
    /// Another layout.
    #[error("format is {0}; this program reads {FORMAT}")]
    Format(u32),
    /// A line between.
    #[error("line {line}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A second value of one split and metric.
    #[error("line {0}: measured twice")]
    Twice(usize),
}

impl Results {
    /// The text of the file.
    ///
    /// # Errors
    /// If a value cannot be written as JSON.
    pub fn to_text(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string(&self.header)? + "\n";
        for measurement in &self.measurements {
            text += &(serde_json::to_string(measurement)? + "\n");
        }
        let closing = Closing { complete: true, measurements: self.measurements.len() };
        Ok(text + &serde_json::to_string(&closing)? + "\n")
    }

    /// Reads the text of a results file.
    ///
    /// # Errors
    /// If it is cut short, of another layout, or has a number twice.
    pub fn parse(text: &str) -> Result<Self, ResultsError> {
        let lines: Vec<&str> = text.lines().collect();
        let [first, middle @ .., last] = lines.as_slice() else { return Err(ResultsError::Lines(lines.len())) };
        let closing: Closing = serde_json::from_str(last).map_err(ResultsError::CutShort)?;
        if !closing.complete {
            return Err(ResultsError::Incomplete);
        }
        if closing.measurements != middle.len() {
            return Err(ResultsError::Count { found: middle.len(), said: closing.measurements });
        }
        let header: Header = serde_json::from_str(first).map_err(ResultsError::Header)?;
        if header.format != FORMAT {
            return Err(ResultsError::Format(header.format));
        }
        let read = |(line, text): (usize, &&str)| {
            serde_json::from_str(text).map_err(|source| ResultsError::Line { line: line + 2, source })
        };
        let measurements = middle.iter().enumerate().map(read).collect::<Result<Vec<Measurement>, _>>()?;
        let mut seen = HashSet::new();
        match measurements.iter().position(|m| !seen.insert((m.split.as_str(), m.metric.as_str()))) {
            Some(index) => Err(ResultsError::Twice(index + 2)),
            None => Ok(Self { header, measurements }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"format":1,"table":"t","row":"a","seed":0,"run":{"name":"a"},"commit":null,"dirty":false,"version":"0.1.0","machine":{"cpu":"A CPU","cores":2,"os":"linux x86_64"},"selection":"last","notes":[],"classes":["cat"]}
{"split":"s","metric":"error","value":0.1,"n":50}
{"split":"s","metric":"ece","value":1e-6,"n":50}
{"complete":true,"measurements":2}
"#;

    #[test]
    fn a_file_is_read_and_written_to_the_same_bytes() -> Result<(), ResultsError> {
        let results = Results::parse(TEXT)?;
        assert_eq!((results.header.machine.cores, results.measurements[1].value), (2, 1e-6));
        assert_eq!(results.to_text().unwrap(), TEXT);
        Ok(())
    }

    #[test]
    fn a_file_that_was_cut_short_is_refused() {
        let error = |text: &str| Results::parse(text).unwrap_err().to_string();
        let lines: Vec<&str> = TEXT.lines().collect();
        assert!(error(&lines[..3].join("\n")).contains("cut short"));
        assert!(error(&[lines[0], lines[3]].join("\n")).contains("0 measurements, but the last line says 2"));
        assert!(error("").contains("0 line(s)"));
        assert!(error(&TEXT.replace("\"ece\"", "\"error\"")).contains("line 3: measured twice"));
        assert!(error(&TEXT.replace("\"format\":1", "\"format\":2")).contains("format is 2; this program reads 1"));
    }
}

//! `sncn-sentiment shift`: texts under every shift, in a file that any program can answer to.

use super::protocol::{Options, Protocol};
use crate::dataset::Texts;
use crate::shift::{SHIFTS, shifted};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sncn_record::Build;
use sncn_record::task::SENTIMENT;
use sncn_train::files::write_atomically;
use sncn_train::harness::provenance;
use sncn_train::harness::robustness::{Copied, Copies};
use std::path::{Path, PathBuf};

/// The layout that this version writes and reads.
const FORMAT: u32 = 1;
/// The files in the folder.
const MANIFEST: &str = "manifest.json";
const LIST: &str = "texts.csv";
/// What texts as they are are called.
const CLEAN: &str = "clean";

/// Write texts as they are and under every shift, for another program to answer to (robustness --predictions).
#[derive(clap::Args, Debug)]
pub struct Shift {
    /// A data set (its test texts), or a table by its path.
    #[arg(long)]
    texts: String,
    #[command(flatten)]
    options: Options,
    /// The folder of texts.csv and manifest.json.
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    format: u32,
    #[serde(flatten)]
    protocol: Protocol,
    /// The program that made it.
    #[serde(flatten)]
    built: Build,
}

/// A line of the list.
#[derive(Serialize, Deserialize)]
struct Line {
    path: String,
    text: String,
    label: String,
    shift: String,
    severity: usize,
}

impl Shift {
    /// Runs the command.
    ///
    /// # Errors
    /// If the texts are missing, or a file cannot be written.
    pub fn run(&self) -> Result<()> {
        let (texts, protocol, _) = self.options.open(&self.texts)?;
        let mut list = csv::Writer::from_writer(Vec::new());
        for (name, severity) in protocol.shifts().parts() {
            let made = SHIFTS.iter().find(|(known, _)| *known == name).map(|shift| shifted(&texts, *shift, severity));
            let Texts { examples, classes, .. } = made.as_ref().unwrap_or(&texts);
            let shift = if severity == 0 { CLEAN } else { name };
            let below = if severity == 0 { String::new() } else { format!("/{severity}") };
            for (index, example) in examples.iter().enumerate() {
                let label = classes.get(example.label as usize).cloned().unwrap_or_default();
                let (path, text) = (format!("{shift}{below}/{index}"), example.text.clone());
                list.serialize(Line { path, text, label, shift: shift.to_string(), severity })?;
            }
        }
        std::fs::create_dir_all(&self.output).with_context(|| format!("{}: the folder cannot be made", self.output.display()))?;
        write_atomically(&self.output.join(LIST), &list.into_inner().map_err(|error| error.into_error())?)?;
        let Protocol { texts, shifts, severities, .. } = &protocol;
        let said = format!("{texts} texts × (1 + {} shifts × {} severities)", shifts.len(), severities.len());
        let manifest = Manifest { format: FORMAT, protocol, built: provenance::built() };
        write_atomically(&self.output.join(MANIFEST), serde_json::to_string_pretty(&manifest)?.as_bytes())?;
        out!("{}: {said} in {LIST}", self.output.display());
        Ok(())
    }
}

/// Reads what the command wrote, with the texts.
///
/// # Errors
/// If a file is missing or damaged.
pub(super) fn read(folder: &Path) -> Result<(Protocol, Copies<'_>, Vec<String>)> {
    let (file, list) = (folder.join(MANIFEST), folder.join(LIST));
    let text = std::fs::read_to_string(&file).with_context(|| {
        format!("{}: not readable; a folder that `shift --texts TEXTS --output FOLDER` wrote is wanted", file.display())
    })?;
    let Manifest { format, protocol, .. } = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    ensure!(format == FORMAT, "{}: format {format} is newer than this program, which reads {FORMAT}", file.display());
    let mut reader = csv::Reader::from_path(&list).with_context(|| list.display().to_string())?;
    let lines: Vec<Line> = reader.deserialize().collect::<Result<_, _>>().with_context(|| list.display().to_string())?;
    let wanted = protocol.texts * protocol.shifts().parts().count();
    ensure!(
        lines.len() == wanted,
        "{}: {} texts, and {MANIFEST} says {wanted}: write the folder again",
        list.display(),
        lines.len()
    );
    let split = |line: Line| {
        let Line { path, text, label, shift, severity } = line;
        (Copied { path, label, shift, severity }, text)
    };
    let (copies, texts): (Vec<Copied>, Vec<String>) = lines.into_iter().map(split).unzip();
    Ok((protocol.clone(), Copies::new(&SENTIMENT, folder, protocol.texts, copies)?, texts))
}

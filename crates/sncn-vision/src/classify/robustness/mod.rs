//! `sncn-classify robustness`: how any program's answers to corrupted images hold, told by its predictions.

mod predictions;

use super::corrupt::{Copy, Manifest};
use anyhow::{Result, ensure};
use predictions::Answer;
use serde_json::json;
use sncn_record::results::{self, Header};
use sncn_record::task::CLASSIFY;
use sncn_train::calibration::Calibration;
use sncn_train::confusion::Confusion;
use sncn_train::harness::cli::Severities;
use sncn_train::harness::record::Recorder;
use sncn_train::harness::{provenance, summary};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Measure the predictions of any program on images that `corrupt --clean` wrote.
#[derive(clap::Args, Debug)]
pub struct Robustness {
    /// The folder that `corrupt --clean --input PHOTOS --output FOLDER` wrote.
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// CSV: path,class, and where there are probabilities a column a class, named after it; paths are relative to the folder.
    #[arg(long, value_name = "FILE")]
    predictions: PathBuf,
    /// Write the measurements there, as JSON lines.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Fail where the mean accuracy under corruption is below this, in percent.
    #[arg(long, value_name = "PERCENT")]
    fail_below: Option<f64>,
}

/// What was answered to the copies of one corruption at one severity.
struct Cell {
    confusion: Confusion,
    calibration: Option<Calibration>,
    /// How many answers differ from those to the clean copies.
    changed: usize,
    images: usize,
}

/// The name of the set in results; with `-c` its corrupted copies.
const SET: &str = "images";

impl Robustness {
    /// Runs the command.
    ///
    /// # Errors
    /// If the folder was not written by `corrupt`, predictions do not fit it, a file cannot be written, or the accuracy is too low.
    pub fn run(&self) -> Result<()> {
        if let Some(least) = self.fail_below {
            ensure!((0. ..=100.).contains(&least), "--fail-below is {least}; 0 to 100 percent is accepted");
        }
        let (manifest, copies) = Manifest::read(&self.images)?;
        ensure!(
            manifest.clean,
            "{}: there are no clean copies, which changes are measured against: write the folder again with corrupt --clean",
            self.images.display()
        );
        let labels: Vec<&str> = copies.iter().map(|copy| copy.label.as_str()).collect();
        ensure!(
            labels.iter().all(|label| !label.is_empty()),
            "{}: images without a class: corrupt a folder of class folders",
            self.images.display()
        );
        let mut classes: Vec<String> = labels.iter().map(ToString::to_string).collect();
        classes.sort();
        classes.dedup();
        let cells = self.cells(&copies, &classes, manifest.images)?;
        let mut recorder = Recorder::new(self.header(&manifest, classes.clone())?);
        for (copy, cell) in &cells {
            let split = match copy.severity {
                0 => SET.to_string(),
                severity => format!("{SET}-c/{}/{severity}", copy.corruption),
            };
            recorder.add(&split, "error", cell.confusion.error(), cell.images);
            recorder.add(&split, "macro_f1", cell.confusion.macro_f1_present(), cell.images);
            if let Some(calibration) = &cell.calibration {
                recorder.add(&split, "nll", calibration.nll(), cell.images);
                recorder.add(&split, "ece", calibration.ece(), cell.images);
            }
            if copy.severity > 0 {
                recorder.add(&split, "changed", cell.changed as f64 / cell.images as f64, cell.images);
            }
        }
        if self.json {
            for measurement in recorder.measurements() {
                out!("{}", serde_json::to_string(measurement)?);
            }
        } else {
            summary::print(&CLASSIFY, recorder.measurements());
            if let Some((_, changed)) = summary::shifted(recorder.measurements(), "changed").first() {
                out!("predictions that differ from those on the clean images: {:.2} % in the mean", 100. * changed.mean());
            }
            recorder.notes().iter().for_each(|note| out!("{note}"));
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))?;
        let errors = summary::shifted(recorder.measurements(), "error");
        if let (Some(least), Some((_, errors))) = (self.fail_below, errors.first()) {
            let accuracy = 100. * (1. - errors.mean());
            ensure!(
                accuracy >= least,
                "the mean accuracy under corruption is {accuracy:.2} %, below the {least} % of --fail-below"
            );
        }
        Ok(())
    }

    /// What was answered, corruption after corruption, each with its first copy.
    fn cells<'c>(&self, copies: &'c [Copy], classes: &[String], images: usize) -> Result<Vec<(&'c Copy, Cell)>> {
        let place: BTreeMap<&str, u32> = (0..).zip(classes).map(|(at, class)| (class.as_str(), at)).collect();
        let label = |copy: &Copy| place.get(copy.label.as_str()).copied().unwrap_or_default();
        let mut answers = vec![0u32; copies.len()];
        let mut calibrations = vec![None; copies.len() / images.max(1)];
        let paths: Vec<&str> = copies.iter().map(|copy| copy.path.as_str()).collect();
        predictions::read(&self.predictions, &self.images, &paths, classes, |index, answer| {
            let Answer { class, probabilities } = answer;
            answers[index] = class as u32;
            if !probabilities.is_empty() {
                let calibration = calibrations[index / images].get_or_insert_with(Calibration::default);
                calibration.add(&probabilities, label(&copies[index]) as usize)?;
            }
            Ok(())
        })?;
        // the clean copies come first
        let clean = answers[..images].to_vec();
        let each = copies.chunks(images).zip(answers.chunks(images)).zip(calibrations);
        each.map(|((copies, answers), calibration)| {
            let labels: Vec<u32> = copies.iter().map(label).collect();
            let mut confusion = Confusion::new(classes.len());
            confusion.add(&labels, answers)?;
            let changed = answers.iter().zip(&clean).filter(|(now, before)| now != before).count();
            Ok((&copies[0], Cell { confusion, calibration, changed, images }))
        })
        .collect()
    }

    fn header(&self, manifest: &Manifest, classes: Vec<String>) -> Result<Header> {
        let name = self.predictions.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let frost = manifest.corruptions.iter().any(|name| name == "frost").then(|| format!(", frost of {}", manifest.frost));
        let mut notes = vec![format!(
            "predictions of {name} on {} images of {}: {} corruptions × severities {:?} ({} table{}, seed {}), corrupted at their own size",
            manifest.images,
            manifest.input,
            manifest.corruptions.len(),
            manifest.severities,
            manifest.severity_table,
            frost.unwrap_or_default(),
            manifest.seed
        )];
        notes.extend(Severities::note(&manifest.severities));
        Ok(Header {
            format: results::FORMAT,
            table: String::new(),
            row: name,
            seed: manifest.seed,
            run: json!({"protocol": serde_json::to_value(manifest)?}),
            built: provenance::built(),
            trained: Default::default(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            machine: provenance::machine(),
            selection: String::new(),
            notes,
            classes,
        })
    }
}

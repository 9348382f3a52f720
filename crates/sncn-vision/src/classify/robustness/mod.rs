//! `sncn-classify robustness`: how a classifier's answers hold under corruption: of a model in an ONNX file or a checkpoint, or of any
//! program, told by its predictions.

mod answers;
mod kept;
mod measure;
mod page;
mod predictions;
mod protocol;
mod rank;
mod samples;
mod subject;

use answers::{CHANGED, Copies, SET};
use anyhow::{Result, ensure};
use kept::Kept;
use measure::Measurement;
use page::Page;
use protocol::Protocol;
use rank::Ranking;
use samples::Sample;
use serde_json::{Value, json};
use sncn_record::corruption_error::ALEXNET;
use sncn_record::results::{self, Header};
use sncn_record::task::CLASSIFY;
use sncn_train::files::write_atomically;
use sncn_train::harness::record::Recorder;
use sncn_train::harness::{cli, provenance, summary};
use std::path::PathBuf;

/// Measure a model, or the predictions of any program, under corruption.
#[derive(clap::Args, Debug)]
pub struct Robustness {
    /// Class folders, a data set, or what `corrupt --clean` wrote.
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    #[command(flatten)]
    model: subject::Options,
    /// CSV: path,class and, for probabilities, a column for each class.
    #[arg(long, value_name = "FILE", conflicts_with = "model", required_unless_present = "model")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    measure: measure::Options,
    /// Write JSON lines there, from which a model goes on if interrupted.
    #[arg(long, value_name = "FILE")]
    results: Option<PathBuf>,
    /// Write a page for a browser there.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// Rank beside published results, and these files of --results.
    #[arg(long, value_name = "FILE", num_args = 0..)]
    rank: Option<Vec<PathBuf>>,
    /// Print JSON lines instead of tables.
    #[arg(long)]
    json: bool,
    /// Fail where the mean accuracy under corruption is lower.
    #[arg(long, value_name = "PERCENT")]
    fail_below: Option<f64>,
    /// Threads (default: all processors).
    #[arg(long, value_name = "COUNT")]
    threads: Option<usize>,
}

impl Robustness {
    /// Runs the command.
    ///
    /// # Errors
    /// If the model or the predictions do not fit the images, a file cannot be read or written, or the accuracy is too low.
    pub fn run(&self) -> Result<()> {
        cli::threads(self.threads)?;
        if let Some(least) = self.fail_below {
            ensure!((0. ..=100.).contains(&least), "--fail-below is {least}; 0 to 100 percent is accepted");
        }
        match &self.predictions {
            Some(file) => {
                self.measure.refuse()?;
                let copies = Copies::read(&self.images)?;
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let notes = copies.protocol.notes(&format!("predictions of {name}"));
                let mut recorder = Recorder::new(header(&name, &copies.protocol, copies.classes.clone(), notes, Value::Null)?);
                let answers = copies.measure(file, &mut recorder)?;
                self.finish(&recorder)?;
                self.report(&recorder, &copies.protocol, || copies.samples(&answers))?;
                self.check(&recorder)
            }
            None => {
                let measurement = self.measure.open(&self.images, self.model.open()?)?;
                self.measured(&measurement)
            }
        }
    }

    fn measured(&self, measurement: &Measurement) -> Result<()> {
        let (name, protocol) = (measurement.name(), &measurement.protocol);
        let model = json!({"file": name, "sha256": measurement.sha256()});
        let what = json!({"model": model, "protocol": protocol, "version": env!("CARGO_PKG_VERSION")});
        let mut kept = Kept::open(self.results.as_deref(), &what)?;
        let classes = measurement.classes.clone();
        let mut recorder = Recorder::new(header(name, protocol, classes, measurement.notes(), model)?);
        measurement.run(&mut kept, &mut recorder)?;
        if measurement.is_imagenet() {
            recorder.add_normalised(&format!("{SET}-c"), &ALEXNET);
        }
        self.finish(&recorder)?;
        self.report(&recorder, protocol, || measurement.samples(&kept))?;
        kept.remove();
        self.check(&recorder)
    }

    /// Prints what was measured, and writes it where that was asked for.
    fn finish(&self, recorder: &Recorder) -> Result<()> {
        if self.json {
            for measurement in recorder.measurements() {
                out!("{}", serde_json::to_string(measurement)?);
            }
        } else {
            summary::print(&CLASSIFY, recorder.measurements());
            if let Some((_, changed)) = summary::shifted(recorder.measurements(), CHANGED).first() {
                out!("predictions that differ from those on the clean images: {:.2} % in the mean", 100. * changed.mean());
            }
            recorder.notes().iter().for_each(|note| out!("{note}"));
        }
        self.results.as_ref().map_or(Ok(()), |path| recorder.write(path))
    }

    /// Prints the ranking and writes the page, where these were asked for.
    fn report(&self, recorder: &Recorder, protocol: &Protocol, samples: impl FnOnce() -> Result<Vec<Sample>>) -> Result<()> {
        let ranking = self.rank.as_ref().map(|files| Ranking::of(protocol, recorder, files));
        // a ranking that is refused takes nothing from the page
        let ranked = ranking.as_ref().and_then(|ranking| ranking.as_ref().ok()).map(Ranking::grid);
        if let Some(path) = &self.page {
            let page = Page { recorder, protocol, samples: &samples()?, ranked: ranked.as_ref() };
            write_atomically(path, page.html()?.as_bytes())?;
            eprintln!("page: {}", path.display());
        }
        if let Some(grid) = ranked.filter(|_| !self.json) {
            out!("\n{}", grid.plain().trim_end());
        }
        ranking.transpose().map(|_| ())
    }

    /// Fails where the accuracy is too low.
    fn check(&self, recorder: &Recorder) -> Result<()> {
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
}

fn header(name: &str, protocol: &Protocol, classes: Vec<String>, notes: Vec<String>, model: Value) -> Result<Header> {
    let mut run = json!({"protocol": protocol});
    if !model.is_null() {
        run["model"] = model;
    }
    Ok(Header {
        format: results::FORMAT,
        table: String::new(),
        row: name.to_string(),
        seed: protocol.seed,
        run,
        built: provenance::built(),
        trained: Default::default(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        machine: provenance::machine(),
        selection: String::new(),
        notes,
        classes,
    })
}

//! `sncn-sentiment robustness`: how a classifier's answers hold where texts are shifted: of a model in a checkpoint or in a folder of Hugging
//! Face's layout, or of any program, told by its predictions.

mod copies;
mod measure;
mod protocol;
mod shown;

pub use copies::Shift;

use anyhow::{Context, Result, ensure};
use measure::Measurement;
use protocol::Options;
use serde_json::Value;
use shown::shown;
use sncn_record::task::SENTIMENT;
use sncn_train::harness::robustness::given::called;
use sncn_train::harness::robustness::{About, Outputs, Published, run};
use std::path::{Path, PathBuf};

/// Measure a model, or the predictions of any program, where texts are shifted.
#[derive(clap::Args, Debug)]
pub struct Robustness {
    /// A data set (its test texts) or a table by its path; for --predictions the folder that `shift` wrote.
    #[arg(long)]
    texts: String,
    /// A checkpoint, a run's folder, a name of models/zoo, or a folder in Hugging Face's layout.
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// CSV: path,class and, for probabilities, a column for each class.
    #[arg(long, value_name = "FILE", conflicts_with = "model", required_unless_present = "model")]
    predictions: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    outputs: Outputs,
}

impl Robustness {
    /// Runs the command.
    ///
    /// # Errors
    /// If the model or the predictions do not fit the texts, a file cannot be read or written, or the accuracy is too low.
    pub fn run(&self) -> Result<()> {
        self.outputs.begin()?;
        match (&self.predictions, &self.model) {
            (Some(file), _) => self.told(file),
            (None, model) => self.measured(model.as_deref().context("--model is not given")?),
        }
    }

    /// What another program answered.
    fn told(&self, file: &Path) -> Result<()> {
        ensure!(
            self.options.are_usual(),
            "--shifts, --severities and --limit are for --model; predictions are of the texts that were written"
        );
        let folder = Path::new(&self.texts);
        let (protocol, copies, texts) = copies::read(folder)?;
        let name = called(file);
        let about = About {
            task: &SENTIMENT,
            notes: protocol.notes(&format!("predictions of {name}")),
            name,
            model: Value::Null,
            protocol: serde_json::to_value(&protocol)?,
            seed: protocol.seed,
            classes: copies.classes.clone(),
        };
        let mut recorder = about.recorder();
        let answers = copies.measure(file, &mut recorder)?;
        let strongest = protocol.shifts().strongest();
        let of = |shift: &str, index: usize| {
            let part = protocol.shifts().parts().position(|part| part == (shift, strongest)).unwrap_or_default();
            [texts[index].clone(), texts[part * protocol.texts + index].clone()]
        };
        let samples = || Ok(shown(&copies.classes, (&copies.changed(&answers, strongest), strongest), of));
        self.outputs.finish(&about, (&recorder, protocol.shifts()), || Ok(Published::default()), samples)?;
        self.outputs.hold(&about, &recorder)
    }

    /// A model.
    fn measured(&self, model: &Path) -> Result<()> {
        let measurement = Measurement::open(model, self.options.open(&self.texts)?)?;
        let (about, shifts) = (measurement.about()?, measurement.protocol.shifts());
        let (mut kept, mut recorder) = (self.outputs.kept(&about)?, about.recorder());
        run(&measurement, &mut kept, &mut recorder)?;
        let samples = || Ok(measurement.samples(&kept));
        self.outputs.finish(&about, (&recorder, shifts), || Ok(Published::default()), samples)?;
        kept.remove();
        self.outputs.hold(&about, &recorder)
    }
}

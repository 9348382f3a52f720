//! A model measured on images that are corrupted as they are read.

use super::super::corrupt::AUTO;
use super::super::corrupted::SEED;
use super::super::noted::is_wnid;
use super::super::{digest, setup};
use super::protocol::Protocol;
use super::samples::samples;
use super::subject::Subject;
use crate::corruption::{self, Frost, Variant, frost};
use crate::dataset::photos::{self, Check};
use crate::dataset::{self, Images};
use crate::examples::{Corrupt, Corruptions, Examples};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sncn_core::Pass;
use sncn_record::Task;
use sncn_record::task::CLASSIFY;
use sncn_train::evaluate::Evaluation;
use sncn_train::harness::cli::{self, Severities};
use sncn_train::harness::robustness::given::{self, called};
use sncn_train::harness::robustness::{About, Answered, Found, Kept, Measured, Samples, Shifts, split};
use sncn_train::harness::{Observe, Score, Way};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images of a batch.
const BATCH: usize = 100;
/// Of so many images one is tried with every corruption before anything is measured, ...
const TRIED: usize = 200;
/// ... of those of a small or large set at least and at most so many.
const FEW: (usize, usize) = (8, 32);

/// Whether images are corrupted before or after they are brought to the size of the model's input.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// After, as in the published benchmarks.
    Fitted,
    /// Before, as weather and cameras do.
    Original,
}

/// How images are corrupted for a model.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Corruptions of a model's images (default: the 15 of the benchmark).
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "model")]
    corruptions: Vec<String>,
    #[command(flatten)]
    severities: Severities,
    /// Corrupt at the size of the input (default: fitted) or before (original).
    #[arg(long, value_name = "WHEN", value_enum, hide_possible_values = true, requires = "model")]
    corrupt: Option<When>,
    /// Only the first images, for a model.
    #[arg(long, value_name = "COUNT", requires = "model")]
    limit: Option<usize>,
    /// Folder of the frost photographs (default: generated textures).
    #[arg(long, value_name = "FOLDER", requires = "model")]
    frost_dir: Option<PathBuf>,
    /// Folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long, value_name = "FOLDER", requires = "model")]
    data_dir: Option<PathBuf>,
}

/// A model with what it is measured on.
pub(super) struct Measurement {
    subject: Subject,
    images: Arc<dyn Images>,
    /// The model's classes.
    classes: Vec<String>,
    frost: Frost,
    /// What is measured.
    pub(super) protocol: Protocol,
    /// How many images there are of which only some are measured.
    all: usize,
    pass: Pass,
}

impl Options {
    /// Opens the images of a folder or data set for a model.
    ///
    /// # Errors
    /// If there are none, their classes are not the model's, or a corruption is unknown.
    pub(super) fn open(&self, given: &Path, subject: Subject) -> Result<Measurement> {
        let corruptions = given::names("--corruptions", &self.corruptions, corruption::benchmark())?;
        let severities = given::severities(&self.severities)?;
        let frost = frost::textures(self.frost_dir.as_deref())?;
        corruptions.iter().try_for_each(|name| Corruptions::new(name, 1, &frost, SEED, Corrupt::Fitted).map(|_| ()))?;
        let (images, data) = self.images(given)?;
        let (images, classes) = subject.fits(images)?;
        let all = images.len();
        given::check_limit(self.limit)?;
        let images = setup::limited(&images, self.limit);
        ensure!(!images.is_empty(), "{}: no images", given.display());
        let protocol = Protocol {
            data,
            images: images.len(),
            sha256: digest::of_images(&*images)?,
            corrupt: self.corrupt(),
            corruptions,
            severities,
            severity_table: self.table(&*images, &subject).to_string(),
            frost: frost.origin().to_string(),
            seed: SEED.value(),
            input: serde_json::to_value(subject.preprocessing)?,
        };
        Ok(Measurement { subject, images, classes, frost, protocol, all, pass: Pass::eval().keeping_weights() })
    }

    fn corrupt(&self) -> Corrupt {
        if self.corrupt == Some(When::Original) { Corrupt::Original } else { Corrupt::Fitted }
    }

    /// Refuses what only models are asked, where there is none.
    ///
    /// # Errors
    /// If severities are given.
    pub(super) fn refuse(&self) -> Result<()> {
        ensure!(self.severities.given().is_none(), "--severities is for --model; predictions are of those that were written");
        Ok(())
    }

    /// Which table of severities all images have; `auto` where that depends on the image.
    fn table(&self, images: &dyn Images, subject: &Subject) -> &'static str {
        let dims = if self.corrupt() == Corrupt::Fitted { Some(subject.preprocessing.dims()) } else { images.dims() };
        dims.map_or(AUTO, |dims| Variant::of(dims).name())
    }

    /// The images, and what they are called.
    fn images(&self, given: &Path) -> Result<(Arc<dyn Images>, String)> {
        let name = given.to_string_lossy();
        dataset::check_given(&name)?;
        if given.exists() {
            return Ok((photos::class_folders(given, Check::default())?, called(given)));
        }
        let splits = dataset::open(&name, &cli::data_dir(self.data_dir.as_deref()))?;
        let (_, images) = splits.test.into_iter().next().with_context(|| format!("{name}: no test images"))?;
        Ok((images, name.into_owned()))
    }
}

impl Measurement {
    /// What is measured, in what is told of it.
    ///
    /// # Errors
    /// If the protocol cannot be written as JSON.
    pub(super) fn about(&self) -> Result<About> {
        let Subject { name, sha256, .. } = &self.subject;
        Ok(About {
            task: &CLASSIFY,
            name: name.clone(),
            model: json!({"file": name, "sha256": sha256}),
            protocol: serde_json::to_value(&self.protocol)?,
            seed: self.protocol.seed,
            classes: self.classes.clone(),
            notes: self.notes(),
        })
    }

    /// What a reader of the numbers should know.
    fn notes(&self) -> Vec<String> {
        let subset =
            (self.images.len() < self.all).then(|| format!("a subset: the first {} of {} images", self.images.len(), self.all));
        let generated = self.frost.is_generated() && self.protocol.corruptions.iter().any(|name| name == "frost");
        let mut notes = self.protocol.notes(&self.subject.name);
        notes.push(self.subject.describe.clone());
        notes.extend(subset.into_iter().chain(generated.then(|| frost::GENERATED.to_string())).chain(self.subject.note()));
        notes
    }

    fn evaluate(&self, images: &Arc<dyn Images>, part: (&str, usize), observe: Observe<'_>) -> Result<Evaluation> {
        let set = self.examples(images, part)?;
        Ok(Way::plain(&*self.subject.network, &self.pass).evaluate(&set, self.classes.len(), BATCH, observe)?)
    }

    fn examples(&self, images: &Arc<dyn Images>, (corruption, severity): (&str, usize)) -> Result<Examples> {
        let examples = Examples::new(images.clone(), self.subject.preprocessing);
        if severity == 0 {
            return Ok(examples);
        }
        Ok(examples.corrupted(Corruptions::new(corruption, severity, &self.frost, SEED, self.protocol.corrupt)?))
    }

    /// For each corruption an image whose answer it changes, at the highest severity, where there is one.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub(super) fn samples(&self, kept: &Kept) -> Result<Samples> {
        let (strongest, plain) = (self.protocol.shifts().strongest(), self.examples(&self.images, ("", 0))?);
        let labels = (0..self.images.len()).map(|index| self.images.label(index).map(|label| label as u32));
        let labels = labels.collect::<Result<Vec<u32>>>()?;
        let answers = |name: &String| kept.answers(&split(&CLASSIFY, name, strongest));
        let corrupted = self.protocol.corruptions.iter().map(|name| (name.as_str(), answers(name)));
        let changed = Answered { labels: &labels, clean: kept.answers(CLASSIFY.examples) }.changed(corrupted);
        samples(&self.classes, (&changed, strongest), |one| {
            let corrupted = self.examples(&self.images, (one.shift, strongest))?;
            Ok((format!("image {}", one.index), plain.seen(one.index)?, corrupted.seen(one.index)?))
        })
    }

    /// Whether its corruption errors may be divided by AlexNet's: those of ImageNet's classes, as published.
    pub(super) fn is_imagenet(&self) -> bool {
        self.classes.len() == 1000 && self.classes.iter().all(|name| is_wnid(name)) && self.protocol.corrupt == Corrupt::Fitted
    }
}

impl Measured for Measurement {
    fn task(&self) -> &'static Task {
        &CLASSIFY
    }

    fn shifts(&self) -> Shifts<'_> {
        self.protocol.shifts()
    }

    fn measure(&self, part: (&str, usize), into: Found<'_>, observe: Observe<'_>) -> Result<Vec<u32>> {
        let found = self.evaluate(&self.images, part, observe)?;
        found.record(into.recorder, into.split, &self.classes, part.1 == 0);
        Ok(found.predictions)
    }

    fn try_few(&self, part: (&str, usize), observe: Observe<'_>) -> Result<()> {
        let few = setup::limited(&self.images, Some((self.images.len() / TRIED).clamp(FEW.0, FEW.1)));
        self.evaluate(&few, part, observe).map(|_| ())
    }
}

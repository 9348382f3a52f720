//! A model measured on images that are corrupted as they are read.

use super::super::corrupted::SEED;
use super::super::noted::is_wnid;
use super::super::{digest, setup};
use super::answers::{CHANGED, SET, changed, split};
use super::kept::{Kept, Part};
use super::protocol::{AUTO, Protocol};
use super::samples::{Answered, Sample};
use super::subject::Subject;
use crate::corruption::{self, Frost, Variant, frost};
use crate::dataset::photos::{self, Check};
use crate::dataset::{self, Images};
use crate::examples::{Corrupt, Corruptions, Examples};
use anyhow::{Context, Result, ensure};
use sncn_core::Pass;
use sncn_train::harness::cli::{self, Severities};
use sncn_train::harness::record::Recorder;
use sncn_train::harness::{Score, Way};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    pub(super) classes: Vec<String>,
    frost: Frost,
    /// What is measured.
    pub(super) protocol: Protocol,
    /// How many images there are of which only some are measured.
    all: usize,
}

impl Options {
    /// Opens the images of a folder or data set for a model.
    ///
    /// # Errors
    /// If there are none, their classes are not the model's, or a corruption is unknown.
    pub(super) fn open(&self, given: &Path, subject: Subject) -> Result<Measurement> {
        let corruptions: Vec<String> = match self.corruptions.as_slice() {
            [] => corruption::benchmark().map(str::to_string).collect(),
            names => names.to_vec(),
        };
        let severities = self.severities.given().unwrap_or_else(|| (1..=5).collect());
        for (what, is_new) in [
            ("--corruptions", (1..corruptions.len()).all(|at| !corruptions[..at].contains(&corruptions[at]))),
            ("--severities", (1..severities.len()).all(|at| !severities[..at].contains(&severities[at]))),
        ] {
            ensure!(is_new, "{what} names one twice; each once is accepted");
        }
        let frost = frost::textures(self.frost_dir.as_deref())?;
        corruptions.iter().try_for_each(|name| Corruptions::new(name, 1, &frost, SEED, Corrupt::Fitted).map(|_| ()))?;
        let (images, data) = self.images(given)?;
        let (images, classes) = subject.fits(images)?;
        let all = images.len();
        ensure!(self.limit != Some(0), "--limit is 0; at least 1 is accepted");
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
        Ok(Measurement { subject, images, classes, frost, protocol, all })
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
            let called = given.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
            return Ok((photos::class_folders(given, Check::default())?, called.unwrap_or_else(|| name.into_owned())));
        }
        let splits = dataset::open(&name, &cli::data_dir(self.data_dir.as_deref()))?;
        let (_, images) = splits.test.into_iter().next().with_context(|| format!("{name}: no test images"))?;
        Ok((images, name.into_owned()))
    }
}

impl Measurement {
    /// The name of the model's file.
    pub(super) fn name(&self) -> &str {
        &self.subject.name
    }

    /// SHA-256 of the model's file.
    pub(super) fn sha256(&self) -> &str {
        &self.subject.sha256
    }

    /// What a reader of the numbers should know.
    pub(super) fn notes(&self) -> Vec<String> {
        let subset =
            (self.images.len() < self.all).then(|| format!("a subset: the first {} of {} images", self.images.len(), self.all));
        let generated = self.frost.is_generated() && self.protocol.corruptions.iter().any(|name| name == "frost");
        let mut notes = self.protocol.notes(&self.subject.name);
        notes.push(self.subject.describe.clone());
        notes.extend(subset.into_iter().chain(generated.then(|| frost::GENERATED.to_string())).chain(self.subject.note()));
        notes
    }

    /// The parts: the images as they are, and every corruption at every severity.
    fn parts(&self) -> impl Iterator<Item = (&str, usize)> {
        let Protocol { corruptions, severities, .. } = &self.protocol;
        let cells = corruptions.iter().flat_map(|name| severities.iter().map(move |&severity| (name.as_str(), severity)));
        std::iter::once(("", 0)).chain(cells)
    }

    fn examples(&self, images: &Arc<dyn Images>, corruption: &str, severity: usize) -> Result<Examples> {
        let examples = Examples::new(images.clone(), self.subject.preprocessing);
        if severity == 0 {
            return Ok(examples);
        }
        Ok(examples.corrupted(Corruptions::new(corruption, severity, &self.frost, SEED, self.protocol.corrupt)?))
    }

    fn evaluate(&self, set: &Examples, pass: &Pass, observe: impl FnMut(usize)) -> Result<sncn_train::evaluate::Evaluation> {
        Ok(Way::plain(&*self.subject.network, pass).evaluate(set, self.classes.len(), BATCH, observe)?)
    }

    /// What measuring will cost: images, and how many of them this machine does in a second, tried with every corruption on the first
    /// few.
    fn cost(&self, pass: &Pass, missing: usize) -> Result<String> {
        let few = setup::limited(&self.images, Some((self.images.len() / TRIED).clamp(FEW.0, FEW.1)));
        // weights are packed and textures made before the clock starts
        self.evaluate(&self.examples(&few, "", 0)?, pass, |_| {})?;
        let mut tried = 0;
        let begun = Instant::now();
        for name in &self.protocol.corruptions {
            let severity = self.protocol.severities.last().copied().unwrap_or(1);
            self.evaluate(&self.examples(&few, name, severity)?, pass, |count| tried += count)?;
        }
        let (images, parts) = (self.images.len(), self.parts().count());
        let rate = f64::from(u32::try_from(tried)?) / begun.elapsed().as_secs_f64().max(1e-9);
        let left = Duration::from_secs_f64((missing * images) as f64 / rate);
        let resumed =
            if missing < parts { format!("; {} of {parts} parts are measured already", parts - missing) } else { String::new() };
        Ok(format!(
            "{images} images × (1 + {} corruptions × {} severities) = {} images, {rate:.3} a second: about {}{resumed}",
            self.protocol.corruptions.len(),
            self.protocol.severities.len(),
            images * parts,
            told(left)
        ))
    }

    /// Measures what is not kept, and adds all to `recorder`.
    ///
    /// # Errors
    /// If an image cannot be read, the model fails, or what is measured cannot be kept.
    pub(super) fn run(&self, kept: &mut Kept, recorder: &mut Recorder) -> Result<()> {
        let pass = Pass::eval().keeping_weights();
        let missing = self.parts().count() - kept.count();
        if missing > 0 {
            eprintln!("{}", self.cost(&pass, missing)?);
        }
        let bar = cli::progress(self.parts().count() * self.images.len(), "measure");
        for (corruption, severity) in self.parts() {
            let split = split(corruption, severity);
            if let Some(part) = kept.of(&split) {
                part.measurements.iter().for_each(|one| recorder.add(&one.split, &one.metric, one.value, one.n));
                bar.inc(self.images.len() as u64);
                continue;
            }
            let set = self.examples(&self.images, corruption, severity)?;
            let found = self.evaluate(&set, &pass, |count| bar.inc(count as u64)).with_context(|| split.clone())?;
            let from = recorder.measurements().len();
            found.record(recorder, &split, &self.classes, severity == 0);
            if severity > 0 {
                recorder.add(&split, CHANGED, changed(kept.answers(SET), &found.predictions), self.images.len());
            }
            // a page shows images at the highest severity
            let is_asked = severity == 0 || severity == self.protocol.strongest();
            let answers = if is_asked { found.predictions } else { Vec::new() };
            kept.add(Part { split, measurements: recorder.measurements()[from..].to_vec(), answers })?;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// For each corruption an image whose answer it changes, at the highest severity, where there is one.
    ///
    /// # Errors
    /// If an image cannot be read.
    pub(super) fn samples(&self, kept: &Kept) -> Result<Vec<Sample>> {
        let (strongest, plain) = (self.protocol.strongest(), self.examples(&self.images, "", 0)?);
        let labels = (0..self.images.len()).map(|index| self.images.label(index).map(|label| label as u32));
        let labels = labels.collect::<Result<Vec<u32>>>()?;
        let corrupted = self.protocol.corruptions.iter().map(|name| (name.as_str(), kept.answers(&split(name, strongest))));
        let shown = |corruption: &str, index: usize| {
            let changed = self.examples(&self.images, corruption, strongest)?;
            Ok((format!("image {index}"), plain.seen(index)?, changed.seen(index)?))
        };
        Answered { classes: &self.classes, labels: &labels, clean: kept.answers(SET) }.samples(corrupted, shown)
    }

    /// Whether its corruption errors may be divided by AlexNet's: those of ImageNet's classes, as published.
    pub(super) fn is_imagenet(&self) -> bool {
        self.classes.len() == 1000 && self.classes.iter().all(|name| is_wnid(name)) && self.protocol.corrupt == Corrupt::Fitted
    }
}

/// A time in words.
fn told(time: Duration) -> String {
    match time.as_secs() {
        0..=119 => format!("{} s", time.as_secs().max(1)),
        120..=7199 => format!("{} min", time.as_secs() / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.),
    }
}

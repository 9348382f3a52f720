//! A model measured on texts that are shifted as they are read.

use super::super::model::Sentiment;
use super::protocol::Protocol;
use super::shown::shown;
use crate::dataset::Texts;
use crate::examples::Examples;
use crate::shift::{self, SHIFTS};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use sncn_core::Pass;
use sncn_record::Task as Info;
use sncn_record::task::SENTIMENT;
use sncn_train::checkpoint;
use sncn_train::harness::robustness::{About, Answered, Found, Kept, Measured, Samples, Shifts, split};
use sncn_train::harness::saved::Saved;
use sncn_train::harness::{Observe, Score, Task, Trained, Way};
use std::path::Path;

/// Texts that are tried with every shift before anything is measured.
const FEW: usize = 64;

/// A model with the texts that it is measured on.
pub(super) struct Measurement {
    trained: Trained<Sentiment>,
    texts: Texts,
    /// What is measured.
    pub(super) protocol: Protocol,
    /// How many texts there are of which only some are measured.
    all: usize,
    pass: Pass,
}

impl Measurement {
    /// Opens a model, for texts that were opened.
    ///
    /// # Errors
    /// If there is none, it has no one class a text, or the classes of the texts are not its own.
    pub(super) fn open(model: &Path, (texts, protocol, all): (Texts, Protocol, usize)) -> Result<Self> {
        let trained = Trained::<Sentiment>::read(&Saved::at(model))?;
        let at = model.display();
        ensure!(
            !trained.model.is_multi_label,
            "{at}: the network gives every class a probability of its own (problem_type of config.json), and these texts have one class \
             each: use predict"
        );
        ensure!(
            trained.run.adapt.is_none(),
            "{at}: its row adapts to test texts, which evaluate does; networks are measured as they are here"
        );
        let texts = texts.in_classes(&trained.header.classes)?;
        Ok(Self { trained, texts, protocol, all, pass: Pass::eval().keeping_weights() })
    }

    /// What is measured, in what is told of it.
    ///
    /// # Errors
    /// If the protocol cannot be written as JSON, or weights cannot be read for their digest.
    pub(super) fn about(&self) -> Result<About> {
        let Trained { header, run, seed, vars, .. } = &self.trained;
        // of weights from elsewhere no digest was noted
        let sha256 = if header.sha256.is_empty() { checkpoint::digest_of(vars) } else { header.sha256.clone() };
        let name = if header.sha256.is_empty() { run.name.clone() } else { format!("{}, seed {seed}", run.name) };
        let mut notes = self.protocol.notes(&name);
        notes.push(format!("{name}: {}, at most {} tokens of a text", run.backbone, self.trained.model.longest));
        if self.protocol.texts < self.all {
            notes.push(format!("a subset: the first {} of {} texts", self.protocol.texts, self.all));
        }
        Ok(About {
            task: &SENTIMENT,
            model: json!({"file": name, "sha256": sha256}),
            name,
            protocol: serde_json::to_value(&self.protocol)?,
            seed: self.protocol.seed,
            classes: header.classes.clone(),
            notes,
        })
    }

    /// The texts of a part.
    fn part(&self, texts: &Texts, (name, severity): (&str, usize)) -> Result<Examples> {
        let model = &self.trained.model;
        let shift = SHIFTS.iter().find(|(known, _)| *known == name);
        let shifted = shift.map(|shift| shift::shifted(texts, *shift, severity));
        Examples::new(shifted.as_ref().unwrap_or(texts), &model.vocabulary, model.longest)
    }

    fn evaluate(&self, texts: &Texts, part: (&str, usize), observe: Observe<'_>) -> Result<<Sentiment as Task>::Score> {
        let (set, way) = (self.part(texts, part)?, Way::plain(self.trained.network(), &self.pass));
        Sentiment::score(&self.trained.model, &way, self.trained.header.classes.len(), &set, observe)
    }

    /// For each shift a text whose answer it changes, at the highest severity, where there is one.
    pub(super) fn samples(&self, kept: &Kept) -> Samples {
        let strongest = self.protocol.shifts().strongest();
        let labels: Vec<u32> = self.texts.examples.iter().map(|example| example.label).collect();
        let answers = |name: &String| kept.answers(&split(&SENTIMENT, name, strongest));
        let shifted = self.protocol.shifts.iter().map(|name| (name.as_str(), answers(name)));
        let changed = Answered { labels: &labels, clean: kept.answers(SENTIMENT.examples) }.changed(shifted);
        shown(&self.trained.header.classes, (&changed, strongest), |name, index| {
            let text = &self.texts.examples[index].text;
            let shift = SHIFTS.iter().find(|(known, _)| *known == name);
            [text.clone(), shift.map_or(String::new(), |shift| shift::one(text, *shift, strongest, index))]
        })
    }
}

impl Measured for Measurement {
    fn task(&self) -> &'static Info {
        &SENTIMENT
    }

    fn shifts(&self) -> Shifts<'_> {
        self.protocol.shifts()
    }

    fn measure(&self, part: (&str, usize), into: Found<'_>, observe: Observe<'_>) -> Result<Vec<u32>> {
        let found = self.evaluate(&self.texts, part, observe)?;
        found.record(into.recorder, into.split, &self.trained.header.classes, part.1 == 0);
        Ok(found.predictions().to_vec())
    }

    fn try_few(&self, part: (&str, usize), observe: Observe<'_>) -> Result<()> {
        let few = self.texts.clone().first(Some(FEW));
        self.evaluate(&few, part, observe).map(|_| ()).context("the first texts")
    }
}

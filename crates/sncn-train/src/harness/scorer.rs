//! `Scorer`: scores a trained model on one part of a test set after another, each begun anew where the network adapts.

use super::cli;
use super::task::{Score, Task, Trained};
use super::way::Way;
use crate::adapt::{Adapt, Adapting};
use crate::data::Dataset;
use crate::evaluate::{Extra, Reading};
use anyhow::{Context, Result};
use sncn_core::Pass;
use std::cell::RefCell;

pub(super) struct Scorer<'a, T: Task> {
    trained: &'a Trained<T>,
    adapting: Option<Adapting<'a>>,
    /// What was told of test sets that do not suit adaptation, once for each.
    remarks: RefCell<Vec<String>>,
}

impl<'a, T: Task> Scorer<'a, T> {
    pub(super) fn new(trained: &'a Trained<T>, adapt: Option<&'a Adapt>) -> Self {
        let adapting = adapt.map(|adapt| Adapting::new(trained.network(), &trained.vars, adapt));
        Self { trained, adapting, remarks: RefCell::default() }
    }

    /// What a reader should know before anything is scored.
    pub(super) fn notes(&self) -> Vec<String> {
        let Some(adapt) = self.adapting.as_ref().map(Adapting::adapt) else { return Vec::new() };
        let mut notes = vec![adapt.describe()];
        if matches!(adapt, Adapt::Tent(_)) && adapt.batch_size() == 1 {
            notes.push("TENT on batches of one: a step follows a single answer, and accuracy often breaks down".to_string());
        }
        notes
    }

    /// What a reader should know of the sets that were scored.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().clone()
    }

    /// Scores it on a part of a test set.
    pub(super) fn score(&self, split: &str, set: &T::Set, pass: &Pass, extra: Extra) -> Result<T::Score> {
        let Some(adapting) = &self.adapting else {
            let reading = Reading { extra, ..Reading::default() };
            return self.once(split, set, &Way { reading, ..Way::plain(self.trained.network(), pass) });
        };
        let batch_size = adapting.adapt().batch_size();
        self.look_at(split, set.len(), batch_size);
        let reading = Reading { batch_size: Some(batch_size), order: adapting.adapt().order(), extra };
        let way = Way { network: adapting, pass, reading };
        let adapted = || -> Result<T::Score> {
            adapting.begin()?;
            if adapting.gathers_first() {
                let reading = Reading { extra: Extra::Nothing, ..reading };
                self.once(&format!("{split}: statistics"), set, &Way { reading, ..way })?;
                adapting.use_gathered();
            }
            let found = self.once(split, set, &way)?;
            self.look_at_batches(split, &found);
            Ok(found)
        };
        adapted().with_context(|| format!("run {:?} ({}) on {split}", self.trained.run.name, self.trained.run.backbone))
    }

    fn once(&self, what: &str, set: &T::Set, way: &Way<'_>) -> Result<T::Score> {
        let bar = cli::progress(set.len(), what);
        let classes = self.trained.header.classes.len();
        let found = T::score(&self.trained.model, way, classes, set, &mut |count| bar.inc(count as u64))?;
        bar.finish_and_clear();
        Ok(found)
    }

    /// Notes a set that is smaller than a batch.
    fn look_at(&self, split: &str, examples: usize, batch_size: usize) {
        if examples < batch_size {
            let set = set_of(split);
            self.remark(format!(
                "{set}: {examples} examples a part, fewer than a batch of {batch_size}: a batch is the whole part"
            ));
        }
    }

    /// Notes batches of a single class, whose statistics are not those of the set.
    fn look_at_batches(&self, split: &str, found: &T::Score) {
        if found.uniform_batches() > 0 {
            self.remark(format!(
                "{}: batches have examples of one class only, and their statistics are not those of the set; \"order\": \"shuffled\" \
                 mixes the classes",
                set_of(split)
            ));
        }
    }

    /// Tells and notes something once.
    fn remark(&self, said: String) {
        let mut remarks = self.remarks.borrow_mut();
        if !remarks.contains(&said) {
            eprintln!("warning: {said}");
            remarks.push(said);
        }
    }
}

/// The test set that a part is of.
fn set_of(split: &str) -> &str {
    split.split('/').next().unwrap_or(split)
}

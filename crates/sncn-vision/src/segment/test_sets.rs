//! Named test sets of segmentation.

use super::examples::PairExamples;
use super::setup::Segment;
use crate::classify::corrupted::{self, VALIDATION};
use crate::corruption::{self, Frost, Variant};
use crate::dataset::DataDir;
use crate::dataset::pairs::{self, PairSplits, PairSubset, Pairs};
use anyhow::{Context, Result, bail, ensure};
use sncn_train::harness::summary::unshifted;
use sncn_train::harness::{self, Parts};
use std::sync::Arc;

/// Opens test sets for a run.
pub(super) struct TestSets<'a> {
    /// The run's data set, opened once.
    pub(super) splits: PairSplits,
    /// Where data sets are.
    pub(super) data_dir: &'a DataDir,
    /// Textures of the frost corruption.
    pub(super) frost: Frost,
    /// Classes that the network knows.
    pub(super) classes: &'a [String],
    /// The set that the network was trained on, and how many of its images, if not all.
    pub(super) train: &'a str,
    pub(super) train_limit: Option<usize>,
    /// How many images of each set.
    pub(super) limit: Option<usize>,
    /// Severities of the sets that are corrupted here.
    pub(super) severities: Vec<usize>,
}

impl harness::TestSets<Segment> for TestSets<'_> {
    /// A set as it is, `<set>-crop<side>` (the middle of its images), and of either `-c`: corruptions (see [`corrupted`]) at every severity,
    /// made here as for ImageNet-C.
    fn parts(&self, name: &str) -> Result<Parts<'_, PairExamples>> {
        let name = name.to_string();
        let base = unshifted(&name).unwrap_or(&name);
        let (set, side) = corrupted::uncropped(base);
        ensure!(side.is_none_or(|side| side >= 16), "{name}: a crop of at least 16 pixels is accepted");
        let pairs = PairSubset::first(&self.set(set)?, self.limit);
        let examples = move || PairExamples::new(pairs.clone()).centred(side);
        if base == name {
            return Ok(Box::new(std::iter::once(Ok((name, examples())))));
        }
        let cells = corrupted::cells(base, &self.severities).into_iter();
        Ok(Box::new(cells.map(move |(corruption, severity)| {
            let generator = corruption::build(corruption, severity, Variant::Imagenet, &self.frost)?;
            Ok((format!("{name}/{corruption}/{severity}"), examples().corrupted(generator, corrupted::SEED)))
        })))
    }

    fn notes(&self, names: &[String]) -> Vec<String> {
        corrupted::notes(names, &self.frost, &self.severities)
    }
}

impl TestSets<'_> {
    /// The pairs of that name: of the run's own data set, or the first test set of another.
    fn set(&self, name: &str) -> Result<Arc<dyn Pairs>> {
        let own = match name.strip_suffix(VALIDATION) == Some(self.train) {
            true => Some(self.left_out(name)?),
            false => self.splits.test.iter().find(|(known, _)| known == name).map(|(_, pairs)| pairs.clone()),
        };
        let other = || match pairs::PAIR_SETS.iter().any(|(known, _)| *known == name) {
            true => Ok(pairs::open(name, self.data_dir)?.test.into_iter().next().map(|(_, pairs)| pairs)),
            false => anyhow::Ok(None),
        };
        let Some(pairs) = own.map_or_else(other, |pairs| Ok(Some(pairs)))? else {
            let known: Vec<_> = self.splits.test.iter().map(|(known, _)| known.as_str()).collect();
            bail!(
                "unknown test set {name:?}; there are {} (each also with -crop<side>, the middle of its images, and with -c, \
                corrupted here), {}{VALIDATION}, what is kept out of training (also with -c, the four extra corruptions), and the test \
                sets of other data sets by their names",
                if known.is_empty() { "none".to_string() } else { known.join(", ") },
                self.train
            )
        };
        ensure!(
            pairs.legend().classes == self.classes,
            "{name}: its classes ({}) are not those the network was trained on ({})",
            pairs.legend().classes.join(", "),
            self.classes.join(", ")
        );
        Ok(pairs)
    }

    /// The images that the run left out of training.
    fn left_out(&self, name: &str) -> Result<Arc<dyn Pairs>> {
        self.splits.left_out(self.train_limit).with_context(|| {
            format!(
                "{name} is what is kept out of training, which is nothing: train_limit is {}, there are {} images; train with a lower \
                 one, or with a folder val beside train",
                self.train_limit.map_or("not set".to_string(), |limit| limit.to_string()),
                self.splits.train.len()
            )
        })
    }
}

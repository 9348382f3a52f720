//! Named test sets of segmentation.

use super::examples::PairExamples;
use super::setup::Segment;
use crate::corruption::{self, Frost, Variant, frost};
use crate::dataset::DataDir;
use crate::dataset::pairs::{self, PairSplits, PairSubset, Pairs};
use anyhow::{Result, bail, ensure};
use sncn_core::Seed;
use sncn_train::harness::summary::unshifted;
use sncn_train::harness::{self, Parts};
use std::sync::Arc;

/// The seed of the corruptions: one set of corrupted images for all runs that are compared.
const CORRUPTION_SEED: Seed = Seed::new(0);

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
    /// How many images of each set.
    pub(super) limit: Option<usize>,
}

impl harness::TestSets<Segment> for TestSets<'_> {
    /// A set as it is, `<set>-crop<side>` (the middle of its images), and of either `-c`: 15 corruptions × 5 severities, made here
    /// as for ImageNet-C.
    fn parts(&self, name: &str) -> Result<Parts<'_, PairExamples>> {
        let name = name.to_string();
        let base = unshifted(&name).unwrap_or(&name);
        let crop = base.rsplit_once("-crop").and_then(|(set, side)| Some((set, side.parse::<usize>().ok()?)));
        let (set, side) = crop.map_or((base, None), |(set, side)| (set, Some(side)));
        ensure!(side.is_none_or(|side| side >= 16), "{name}: a crop of at least 16 pixels is accepted");
        let pairs = PairSubset::first(&self.set(set)?, self.limit);
        let examples = move || PairExamples::new(pairs.clone()).centred(side);
        if base == name {
            return Ok(Box::new(std::iter::once(Ok((name, examples())))));
        }
        let cells = corruption::benchmark().flat_map(|corruption| (1..=5).map(move |severity| (corruption, severity)));
        Ok(Box::new(cells.map(move |(corruption, severity)| {
            let generator = corruption::build(corruption, severity, Variant::Imagenet, &self.frost)?;
            Ok((format!("{name}/{corruption}/{severity}"), examples().corrupted(generator, CORRUPTION_SEED)))
        })))
    }

    fn notes(&self, names: &[String]) -> Vec<String> {
        let generated = self.frost.is_generated() && names.iter().any(|name| name.ends_with("-c"));
        generated.then(|| frost::GENERATED.to_string()).into_iter().collect()
    }
}

impl TestSets<'_> {
    /// The pairs of that name: of the run's own data set, or the first test set of another.
    fn set(&self, name: &str) -> Result<Arc<dyn Pairs>> {
        let own = self.splits.test.iter().find(|(known, _)| known == name).map(|(_, pairs)| pairs.clone());
        let other = || match pairs::PAIR_SETS.iter().any(|(known, _)| *known == name) {
            true => Ok(pairs::open(name, self.data_dir)?.test.into_iter().next().map(|(_, pairs)| pairs)),
            false => anyhow::Ok(None),
        };
        let Some(pairs) = own.map_or_else(other, |pairs| Ok(Some(pairs)))? else {
            let known: Vec<_> = self.splits.test.iter().map(|(known, _)| known.as_str()).collect();
            bail!(
                "unknown test set {name:?}; there are {} (each also with -crop<side>, the middle of its images, and with -c, \
                corrupted here), and the test sets of other data sets by their names",
                known.join(", ")
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
}

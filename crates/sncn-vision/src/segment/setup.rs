//! What several commands share: opening data, building the network, checking what a run asks for, test sets.

use super::examples::PairExamples;
use super::scoring::Protocol;
use super::transform::Transform;
use crate::backbone::{Blueprint, segment};
use crate::corruption::{self, Frost, Variant};
use crate::dataset::pairs::{self, PairSplits, PairSubset, Pairs};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device};
use sncn_core::{Network, Seed, Vars};
use sncn_train::harness::{Run, cli};
use std::path::Path;
use std::sync::Arc;

/// The task of the tables that these commands take.
pub const TASK: &str = "segment";

/// The seed of the corruptions: one set of corrupted images for all runs that are compared.
const CORRUPTION_SEED: Seed = Seed::new(0);

/// Opens a data set by name.
///
/// # Errors
/// Where the name is unknown, or its files are missing or damaged.
pub fn open(name: &str, data_dir: Option<&Path>) -> Result<PairSplits> {
    pairs::open(name, &cli::source(data_dir))
}

/// The network of a run with fresh variables.
///
/// # Errors
/// Where the network or a layer does not fit.
pub fn network(run: &Run, classes: usize, seed: u64) -> Result<(Box<dyn Network>, Vars)> {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    let network = segment::build(&run.backbone, &Blueprint { classes, layers: (&run.layers).into(), vars: &vars })
        .with_context(|| format!("run {:?}", run.name))?;
    run.check_mixing(&*network)?;
    Ok((network, vars))
}

/// What a run asks of segmentation: how its images are changed, and how test sets are evaluated.
///
/// # Errors
/// Where a setting is unknown or out of range, or the objective is another task's.
pub fn settings(run: &Run) -> Result<(Option<Transform>, Protocol)> {
    let at = || format!("run {:?}", run.name);
    ensure!(
        matches!(run.objective, sncn_train::objective::Objective::Segment { .. }),
        "run {:?}: its objective is not for labelled pixels; {{\"kind\": \"segment\"}} is accepted",
        run.name
    );
    Ok((Transform::read(&run.augment).with_context(at)?, Protocol::read(&run.evaluate).with_context(at)?))
}

/// Opens test sets for a run.
pub struct TestSets<'a> {
    /// The run's data set, opened once.
    pub splits: &'a PairSplits,
    /// Folder that holds the data sets.
    pub data_dir: Option<&'a Path>,
    /// Textures of the frost corruption.
    pub frost: &'a Frost,
    /// Classes that the network knows.
    pub classes: &'a [String],
    /// How many images of each set.
    pub limit: Option<usize>,
}

impl TestSets<'_> {
    /// The parts of a named test set: a set as it is, `<set>-crop<side>` (the middle of its images), and of either `-c`: 15
    /// corruptions × 5 severities, made here as for ImageNet-C.
    ///
    /// # Errors
    /// Where the name is unknown (the known ones are listed), or its classes are not the network's.
    pub fn open(&self, name: &str) -> Result<Vec<(String, PairExamples)>> {
        let (base, corrupted) = name.strip_suffix("-c").map_or((name, false), |base| (base, true));
        let crop = base.rsplit_once("-crop").and_then(|(set, side)| Some((set, side.parse::<usize>().ok()?)));
        let (set, side) = crop.map_or((base, None), |(set, side)| (set, Some(side)));
        ensure!(side.is_none_or(|side| side >= 16), "{name}: a crop of at least 16 pixels is accepted");
        let pairs = PairSubset::first(&self.set(set)?, self.limit);
        let examples = || PairExamples::new(pairs.clone()).centred(side);
        if !corrupted {
            return Ok(vec![(name.to_string(), examples())]);
        }
        let mut parts = Vec::new();
        for corruption in corruption::benchmark() {
            for severity in 1..=5 {
                let generator = corruption::build(corruption, severity, Variant::Imagenet, self.frost)?;
                parts.push((format!("{name}/{corruption}/{severity}"), examples().corrupted(generator, CORRUPTION_SEED)));
            }
        }
        Ok(parts)
    }

    /// The pairs of that name: of the run's own data set, or the first test set of another.
    fn set(&self, name: &str) -> Result<Arc<dyn Pairs>> {
        let own = self.splits.test.iter().find(|(known, _)| known == name).map(|(_, pairs)| pairs.clone());
        let other = || match pairs::PAIR_SETS.iter().any(|(known, _)| *known == name) {
            true => Ok(open(name, self.data_dir)?.test.into_iter().next().map(|(_, pairs)| pairs)),
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

//! Named test sets: a set of the run's data as it is, `<set>-c` (its 15 corruptions × 5 severities, generated here),
//! `<set>-c-files` (the same, read from `.npy` files such as the published CIFAR-10-C), `<set>-validation` (the training images
//! after the run's `train_limit`), and further sets in `.npy` files, such as CIFAR-10.1, by the name of their folder.
//!
//! `<set>-validation` is what settings are chosen on; its corruptions (`<set>-validation-c`) are the benchmark's four extra ones,
//! so that nothing is chosen on the 15 that are reported.

use super::setup::{self, Classify, Settings};
use crate::corruption::{self, Dims, Frost, Group, Variant, frost};
use crate::dataset::subset::Subset;
use crate::dataset::{DataDir, Images, Splits, arrays};
use crate::examples::Examples;
use anyhow::{Result, bail, ensure};
use sncn_core::Seed;
use sncn_train::harness::summary::unshifted;
use sncn_train::harness::{self, Parts, Run};
use std::sync::Arc;

/// The seed of the corruptions: one set of corrupted images for all runs that are compared.
const CORRUPTION_SEED: Seed = Seed::new(0);

/// Opens test sets for a run.
pub(super) struct TestSets<'a> {
    /// The run.
    pub(super) run: &'a Run<Settings>,
    /// The run's data set, opened once.
    pub(super) splits: Splits,
    /// Where data sets are.
    pub(super) data_dir: &'a DataDir,
    /// Textures of the frost corruption.
    pub(super) frost: Frost,
    /// Classes that the network knows.
    pub(super) classes: &'a [String],
}

/// Ending of the name of the training images that a run does not train on.
const VALIDATION: &str = "-validation";

/// The corruptions that the set corrupted here takes.
fn corruptions(base: &str) -> impl Iterator<Item = &'static str> {
    corruption::names(if base.ends_with(VALIDATION) { Group::Extra } else { Group::Benchmark })
}

/// Whether the test set of that name is corrupted here, with the frost at hand.
fn takes_frost(name: &str) -> bool {
    name.strip_suffix("-c").is_some_and(|base| corruptions(base).any(|corruption| corruption == "frost"))
}

/// Whether the classes have numbers for names, as imported weights may: any set with as many fits.
fn numbered(classes: &[String]) -> bool {
    classes.iter().enumerate().all(|(label, name)| *name == label.to_string())
}

impl harness::TestSets<Classify> for TestSets<'_> {
    fn parts(&self, name: &str) -> Result<Parts<'_, Examples>> {
        let limited = |images: &Arc<dyn Images>| setup::limited(images, self.run.test_limit);
        let (name, base) = (name.to_string(), unshifted(name));
        if let Some(base) = base.filter(|_| name.ends_with("-files")) {
            let images = self.own(base)?;
            let folder = self.data_dir.folder(base)?.join(&self.splits.corrupted);
            let mut parts = Vec::new();
            for corruption in corruptions(base) {
                for (severity, images) in arrays::corrupted(&folder, corruption, &*images)? {
                    parts.push(Ok((format!("{name}/{corruption}/{severity}"), Examples::new(limited(&images)))));
                }
            }
            return Ok(Box::new(parts.into_iter()));
        }
        let images = limited(&self.any(base.unwrap_or(&name))?);
        let Some(base) = base else { return Ok(Box::new(std::iter::once(Ok((name, Examples::new(images)))))) };
        let cells = corruptions(base).flat_map(|corruption| (1..=5).map(move |severity| (corruption, severity)));
        let cells: Vec<(&str, usize)> = cells.collect();
        let variant = Variant::of(Dims { height: images.height(), width: images.width() });
        Ok(Box::new(cells.into_iter().map(move |(corruption, severity)| {
            let generator = corruption::build(corruption, severity, variant, &self.frost)?;
            let part = Examples::corrupted(images.clone(), generator, CORRUPTION_SEED);
            Ok((format!("{name}/{corruption}/{severity}"), part))
        })))
    }

    fn notes(&self, names: &[String]) -> Vec<String> {
        let generated = self.frost.is_generated() && names.iter().any(|name| takes_frost(name));
        generated.then(|| frost::GENERATED.to_string()).into_iter().collect()
    }
}

impl TestSets<'_> {
    /// The images of that name: of the run's own data set, or further ones in files.
    fn any(&self, name: &str) -> Result<Arc<dyn Images>> {
        let known = self.splits.test.iter().any(|(known, _)| known == name);
        match (self.data_dir.folder(name), self.splits.test.first()) {
            (Ok(folder), Some((first, _))) if !known && is_plain(name) => {
                let like = self.own(first)?;
                arrays::further(&folder, name, &*like)?.map_or_else(|| self.own(name), Ok)
            }
            _ => self.own(name),
        }
    }

    /// The images of that name, of the run's own data set.
    fn own(&self, name: &str) -> Result<Arc<dyn Images>> {
        let splits = &self.splits;
        if name.strip_suffix(VALIDATION) == Some(&self.run.train) {
            return self.fits(name, &self.left_out(name)?);
        }
        let Some((_, images)) = splits.test.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = splits.test.iter().map(|(known, _)| known.as_str()).collect();
            bail!(
                "unknown test set {name:?}; {} has: {} (each also with -c, corrupted here, and with -c-files, read from .npy files); \
                {}{VALIDATION} is what its train_limit leaves of the training images (also with -c, the four extra corruptions); {}",
                self.run.train,
                known.join(", "),
                self.run.train,
                self.looked_for(name)
            )
        };
        self.fits(name, images)
    }

    /// The training images that the run left out.
    fn left_out(&self, name: &str) -> Result<Arc<dyn Images>> {
        let (train, all) = (&self.splits.train, self.splits.train.len());
        match self.run.train_limit {
            Some(limit) if limit < all => Ok(Arc::new(Subset::after(train.clone(), limit))),
            limit => bail!(
                "{name} is what train_limit leaves of the training images, which is nothing: train_limit is {}, there are {all}; \
                train with a lower one",
                limit.map_or("not set".to_string(), |limit| limit.to_string())
            ),
        }
    }

    /// The images again, if their classes are those of the network.
    fn fits(&self, name: &str, images: &Arc<dyn Images>) -> Result<Arc<dyn Images>> {
        ensure!(
            images.classes() == self.classes || (images.classes().len() == self.classes.len() && numbered(self.classes)),
            "{name}: its classes ({}) are not those the network was trained on ({})",
            images.classes().join(", "),
            self.classes.join(", ")
        );
        Ok(images.clone())
    }

    /// Where a further set of that name would lie.
    fn looked_for(&self, name: &str) -> String {
        match self.data_dir.folder(name) {
            Ok(folder) if is_plain(name) => {
                let pairs = arrays::candidate_files(&folder, name);
                let pairs = pairs.map(|(images, labels)| format!("{} with {}", images.display(), labels.display()));
                format!("and there is no further set in {}", pairs.join(" or "))
            }
            Ok(_) => "a further set has the name of a folder".to_string(),
            Err(_) => "further sets lie in the folder that --data-dir or SNCN_DATA gives".to_string(),
        }
    }
}

/// Whether a name is that of one file or folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\'])
}

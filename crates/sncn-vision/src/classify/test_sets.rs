//! Named test sets: a set of the run's data as it is, `<set>-c` (its 15 corruptions × 5 severities, generated here),
//! `<set>-c-files` (the same, read from files such as the published CIFAR-10-C and ImageNet-C), `<set>-validation` (what is kept out
//! of training), further sets in `.npy` files, such as CIFAR-10.1, by the name of their folder, and photographs in class folders, by
//! their path.
//!
//! `<set>-validation` is what settings are chosen on; for its corruptions (`<set>-validation-c`) see [`corrupted`].

use super::corrupted::{self, VALIDATION, corruptions};
use super::setup::{self, Classify, Settings};
use crate::corruption::{Frost, Variant};
use crate::dataset::photos::{self, Check, Shifted};
use crate::dataset::relabelled::Relabelled;
use crate::dataset::{DataDir, Images, Splits, arrays};
use crate::examples::{Corrupt, Corruptions, Examples};
use anyhow::{Context, Result, bail, ensure};
use sncn_record::corruption_error::{ALEXNET, Reference};
use sncn_train::harness::summary::unshifted;
use sncn_train::harness::{self, Parts, Run};
use std::path::Path;
use std::sync::Arc;

/// A corruption with a severity.
type Cell = (String, usize);

/// Opens test sets for a run.
pub(super) struct TestSets<'a> {
    /// The run.
    pub(super) run: &'a Run<Settings>,
    /// The run's data set, opened once.
    pub(super) splits: Splits,
    /// Where data sets are.
    pub(super) data_dir: &'a DataDir,
    /// How files are checked before anything is measured.
    pub(super) check: Check,
    /// Severities instead of the run's.
    pub(super) severities: Option<Vec<usize>>,
    /// Textures of the frost corruption.
    pub(super) frost: Frost,
    /// Classes that the network knows.
    pub(super) classes: &'a [String],
}

/// The data set whose corruption errors are divided by AlexNet's, where the network knows all its classes.
const IMAGENET: &str = "imagenet";
/// As many has it.
const IMAGENET_CLASSES: usize = 1000;

/// Whether the classes have numbers for names, as imported weights may: any set with as many fits.
fn numbered(classes: &[String]) -> bool {
    classes.iter().enumerate().all(|(label, name)| *name == label.to_string())
}

impl harness::TestSets<Classify> for TestSets<'_> {
    fn parts(&self, name: &str) -> Result<Parts<'_, Examples>> {
        let Settings { preprocessing, ref evaluation, .. } = self.run.settings;
        let clean = move |images: &Arc<dyn Images>| Examples::new(setup::limited(images, self.run.test_limit), preprocessing);
        let (label, base) = (self.label(name), unshifted(name));
        if let Some(base) = base.filter(|_| name.ends_with("-files")) {
            let parts = self.in_files(base)?.into_iter();
            return Ok(Box::new(
                parts.map(move |((shift, severity), images)| Ok((format!("{label}/{shift}/{severity}"), clean(&images)))),
            ));
        }
        if let Some(shifted) =
            self.path(name).filter(|path| path.is_dir()).map(photos::shifted).transpose()?.filter(|shifted| !shifted.is_empty())
        {
            let part = |(shift, severity, folder): Shifted| {
                let images = self.fits(&folder.display().to_string(), &photos::class_folders(&folder, self.check)?)?;
                Ok((format!("{label}/{shift}/{severity}"), clean(&images)))
            };
            // every folder is listed before the first is measured
            let parts: Vec<_> = shifted.into_iter().map(part).collect::<Result<_>>()?;
            return Ok(Box::new(parts.into_iter().map(Ok)));
        }
        let images = self.any(base.unwrap_or(name))?;
        let Some(base) = base else { return Ok(Box::new(std::iter::once(Ok((label, clean(&images)))))) };
        let cells = corrupted::cells(base, self.severities());
        Ok(Box::new(cells.into_iter().map(move |(corruption, severity)| {
            let made = Corruptions::new(corruption, severity, &self.frost, corrupted::SEED, evaluation.corrupt)?;
            Ok((format!("{label}/{corruption}/{severity}"), clean(&images).corrupted(made)))
        })))
    }

    fn label(&self, name: &str) -> String {
        match Path::new(name).file_name() {
            Some(last) if self.path(unshifted(name).unwrap_or(name)).is_some() => last.to_string_lossy().into_owned(),
            _ => name.to_string(),
        }
    }

    fn reference(&self, name: &str) -> Option<&'static Reference> {
        let is_imagenet = unshifted(name) == Some(IMAGENET) && self.classes.len() == IMAGENET_CLASSES;
        is_imagenet.then_some(&ALEXNET)
    }

    fn notes(&self, names: &[String]) -> Vec<String> {
        let mut notes = corrupted::notes(names, &self.frost, self.severities());
        let dims = self.run.settings.preprocessing.dims();
        notes.extend(match self.run.settings.evaluation.corrupt {
            _ if !names.iter().any(|name| corrupted::is_made(name)) => None,
            Corrupt::Original => Some(format!(
                "images are corrupted before they are resized, with the severities of CIFAR-10-C up to {} pixels and of ImageNet-C above",
                Variant::SMALL
            )),
            Corrupt::Fitted if Variant::of(dims) == Variant::Imagenet => {
                Some(format!("severities of ImageNet-C, since images have {} pixels a side", dims.height))
            }
            Corrupt::Fitted => None,
        });
        notes
    }
}

impl TestSets<'_> {
    /// The folder or table that a name is the path of, where it is no name of a test set.
    fn path<'n>(&self, name: &'n str) -> Option<&'n Path> {
        let is_known = self.splits.test.iter().any(|(known, _)| known == name) || self.is_validation(name);
        let path = Path::new(name);
        let is_path = path.is_dir() || (path.is_file() && (path.extension().is_some() || !is_plain(name)));
        (is_path && !is_known).then_some(path)
    }

    /// Whether a name is that of what is kept out of training.
    fn is_validation(&self, name: &str) -> bool {
        name.strip_suffix(VALIDATION) == Some(&self.run.train)
    }

    /// Severities of the sets that are corrupted here.
    fn severities(&self) -> &[usize] {
        self.severities.as_ref().unwrap_or(&self.run.settings.evaluation.severities)
    }

    /// The corrupted copies of a set in files, with corruption and severity: in ImageNet-C's layout, or `.npy` files.
    fn in_files(&self, base: &str) -> Result<Vec<(Cell, Arc<dyn Images>)>> {
        let images = self.own(base)?;
        let folder = self.data_dir.folder(base)?.join(&self.splits.corrupted);
        let mut parts: Vec<(Cell, Arc<dyn Images>)> = Vec::new();
        if images.dims().is_none() && folder.is_dir() {
            for (corruption, severity, folder) in photos::shifted(&folder)? {
                let images = self.fits(&folder.display().to_string(), &photos::class_folders(&folder, self.check)?)?;
                parts.push(((corruption, severity), images));
            }
            ensure!(!parts.is_empty(), "{}: no <corruption>/<severity>/<class>/<image> in it", folder.display());
            return Ok(parts);
        }
        for corruption in corruptions(base) {
            for (severity, images) in arrays::corrupted(&folder, corruption, &*images)? {
                parts.push(((corruption.to_string(), severity), images));
            }
        }
        Ok(parts)
    }

    /// The images of that name: of the run's own data set, of a folder or table at that path, or further ones in `.npy` files.
    fn any(&self, name: &str) -> Result<Arc<dyn Images>> {
        if let Some(path) = self.path(name) {
            return self.fits(name, &photos::class_folders(path, self.check)?);
        }
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
        if self.is_validation(name) {
            return self.fits(name, &self.left_out(name)?);
        }
        let Some((_, images)) = splits.test.iter().find(|(known, _)| known == name) else {
            let known: Vec<_> = splits.test.iter().map(|(known, _)| known.as_str()).collect();
            bail!(
                "unknown test set {name:?}; {} has: {} (each also with -c, corrupted here, and with -c-files, read from files); \
                {}{VALIDATION} is what it keeps out of training (also with -c, the four extra corruptions); {}",
                self.run.train,
                if known.is_empty() { "none".to_string() } else { known.join(", ") },
                self.run.train,
                self.looked_for(name)
            )
        };
        self.fits(name, images)
    }

    /// The images that the run left out of training.
    fn left_out(&self, name: &str) -> Result<Arc<dyn Images>> {
        let (limit, all) = (self.run.train_limit, self.splits.train.as_ref().map_or(0, |train| train.len()));
        setup::left_out(&self.splits, limit).with_context(|| {
            format!(
                "{name} is what is kept out of training, which is nothing: train_limit is {}, there are {all} images; train with a \
                 lower one, or with a part for validation",
                limit.map_or("not set".to_string(), |limit| limit.to_string())
            )
        })
    }

    /// The images with the labels of the network's classes, which theirs must be among.
    fn fits(&self, name: &str, images: &Arc<dyn Images>) -> Result<Arc<dyn Images>> {
        let is_same = images.classes() == self.classes;
        if is_same || (images.classes().len() == self.classes.len() && numbered(self.classes)) {
            return Ok(images.clone());
        }
        Ok(Arc::new(Relabelled::new(images.clone(), self.classes).with_context(|| name.to_string())?))
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

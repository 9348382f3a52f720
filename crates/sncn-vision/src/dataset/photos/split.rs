//! `open`: what of a folder's photographs is trained on, kept for validation, and tested on.

use super::super::images::{Images, Splits};
use super::check::{self, Check};
use super::files::{Part, PhotoFiles};
use super::layout::{self, TEST, TRAIN, VALIDATION};
use super::parts::{Parts, Validation};
use anyhow::{Context, Result, bail, ensure};
use rand::seq::SliceRandom;
use sncn_core::Seed;
use sncn_train::text_file::listed;
use std::path::Path;
use std::sync::Arc;

/// The fraction of every class that is kept for validation where nothing else is said.
const KEPT: f64 = 0.1;

/// Opens the photographs at a path as the data set `name`. Of the published sets `val` is the test set, and nothing is kept for
/// validation unless `parts` says so.
///
/// # Errors
/// If a part is missing, a part has classes that are not trained on, or files cannot be read.
pub(crate) fn open(name: &str, path: &Path, parts: &Parts, check: Option<Check>, val_is_test: bool) -> Result<Splits> {
    let found = layout::read(path, parts)?;
    let at = path.display();
    let wanted = |names: &[String], key: &str| -> Result<Vec<Part>> {
        let part = |name: &String| {
            let known: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty()).collect();
            let known = if known.is_empty() { "it has none".to_string() } else { format!("it has: {}", listed(&known)) };
            found
                .iter()
                .find(|(known, _)| known == name)
                .cloned()
                .with_context(|| format!("data.{key}: {at} has no part {name:?}; {known}"))
        };
        names.iter().map(part).collect()
    };
    let called = |names: &[&str]| -> Vec<Part> {
        found.iter().filter(|(name, _)| names.contains(&name.to_lowercase().as_str())).cloned().collect()
    };
    let usual = match called(&TRAIN) {
        none if none.is_empty() => found.iter().filter(|(name, _)| name.is_empty()).cloned().collect(),
        some => some,
    };
    let trained = if parts.train.is_empty() { usual } else { wanted(&parts.train, "train")? };
    let mut kept = match &parts.validation {
        Some(Validation::Parts(names)) => wanted(names, "validation")?,
        None if !val_is_test && parts.train.is_empty() => called(&VALIDATION),
        _ => Vec::new(),
    };
    let tested = match parts.test.as_slice() {
        [] if !parts.train.is_empty() => {
            let other = |(name, _): &&Part| [&trained, &kept].iter().all(|parts| parts.iter().all(|(part, _)| part != name));
            found.iter().filter(other).cloned().collect()
        }
        [] => {
            let mut tested = called(if val_is_test { &VALIDATION } else { &TEST });
            tested.iter_mut().for_each(|part| part.0 = name.to_string());
            tested
        }
        names => wanted(names, "test")?,
    };
    check_domains(&trained, parts.partial)?;
    if let Some((name, part)) = tested.iter().find(|(_, part)| !parts.train.is_empty() && part.classes.len() == 1) {
        bail!(
            "{}: the domain {name:?} has one class alone, {}; leave it out of those to test on (data.test names them)",
            part.origin,
            listed(&part.classes)
        )
    }
    let train = joined(&trained)?;
    let classes = match &train {
        Some(train) => train.classes.clone(),
        // sets to test on alone have their own classes
        None => joined(&kept.iter().chain(&tested).cloned().collect::<Vec<_>>())?.map_or_else(Vec::new, |all| all.classes),
    };
    if let Some(train) = train.as_ref().filter(|_| kept.is_empty()) {
        let fraction = match parts.validation {
            Some(Validation::Fraction(fraction)) => fraction,
            _ if val_is_test => 0.,
            _ => KEPT,
        };
        if fraction > 0. {
            // of every part by itself, so that all domains are kept alike
            let halves = trained.iter().map(|(name, part)| {
                let (most, few) = divided(&part.labelled_as(&train.classes)?, fraction);
                Ok(((name.clone(), most), (name.clone(), few)))
            });
            let (most, few): (Vec<Part>, Vec<Part>) = halves.collect::<Result<Vec<_>>>()?.into_iter().unzip();
            return finish(name, joined(&most)?, few, tested, check, &classes);
        }
    }
    kept.retain(|(_, files)| !files.files.is_empty());
    finish(name, train, kept, tested, check, &classes)
}

fn finish(
    name: &str,
    mut train: Option<PhotoFiles>,
    kept: Vec<Part>,
    tested: Vec<Part>,
    check: Option<Check>,
    classes: &[String],
) -> Result<Splits> {
    let shared = |files: PhotoFiles| -> Arc<dyn Images> { Arc::new(files) };
    let known = |part: &Part| Ok((part.0.clone(), part.1.labelled_as(classes)?));
    let mut kept = joined(&kept.iter().map(known).collect::<Result<Vec<Part>>>()?)?;
    let mut tested = tested.iter().map(known).collect::<Result<Vec<Part>>>()?;
    if let Some(how) = check {
        let (first, rest) = if how.tests { (None, Some(&mut tested)) } else { (train.as_mut(), None) };
        let rest = rest.into_iter().flatten().map(|(_, set)| set);
        check::look(first.into_iter().chain(kept.as_mut()).chain(rest).collect(), how)?;
        for train in train.iter().filter(|_| !how.tests) {
            let occurring = train.occurring();
            let lost = (0..train.classes.len()).find(|class| !occurring.contains(class));
            ensure!(
                lost.is_none(),
                "{}: no readable image of class {:?} is left",
                train.origin,
                train.classes[lost.unwrap_or_default()]
            );
        }
    }
    Ok(Splits {
        train: train.map(shared),
        validation: kept.map(shared),
        test: tested.into_iter().map(|(name, set)| (name, shared(set))).collect(),
        corrupted: format!("{name}-c"),
    })
}

/// Refuses parts to train on that are no domains of one problem: with a single class, or with other classes than the rest. The latter may be
/// `partial`.
fn check_domains(trained: &[Part], partial: bool) -> Result<()> {
    for (name, part) in trained {
        ensure!(
            part.classes.len() > 1 || (partial && trained.len() > 1),
            "{}: {} has one class alone, {}; at least 2 are wanted to tell apart ({})",
            part.origin,
            if name.is_empty() { "the folder".to_string() } else { format!("{name:?}") },
            listed(&part.classes),
            "<domain>/<class>/<image> or <class>/<image>"
        );
    }
    let Some(((first, rest), false)) = trained.split_first().map(|split| (split, partial)) else { return Ok(()) };
    for other in rest {
        let lacks = |one: &Part, other: &Part| one.1.classes.iter().find(|class| !other.1.classes.contains(class)).cloned();
        let found =
            lacks(first, other).map(|class| (class, other, first)).or(lacks(other, first).map(|class| (class, first, other)));
        if let Some((class, without, with)) = found {
            bail!(
                "{}: the domain {:?} has no class {class:?}, which {:?} has: a network would tell domains apart by it; use the same \
                 classes in all, or say that they may lack some (data.partial=true)",
                without.1.origin,
                without.0,
                with.0
            )
        }
    }
    Ok(())
}

/// The images of several parts together, by turns; nothing where there is no part. A class that only some have is a class of all.
fn joined(parts: &[Part]) -> Result<Option<PhotoFiles>> {
    let [(_, first), rest @ ..] = parts else { return Ok(None) };
    if rest.is_empty() {
        return Ok(Some(first.clone()));
    }
    let mut classes: Vec<String> = Vec::new();
    for (_, part) in parts {
        classes.extend(part.classes.iter().filter(|class| !classes.contains(class)).cloned().collect::<Vec<_>>());
    }
    classes.sort();
    let parts = parts.iter().map(|(_, part)| part.labelled_as(&classes)).collect::<Result<Vec<_>>>()?;
    let origin = parts.iter().map(|part| part.origin.clone()).collect::<Vec<_>>().join(" + ");
    let remarks = parts.iter().flat_map(|part| part.remarks.clone()).collect();
    let mut files: Vec<_> = parts.into_iter().flat_map(|part| part.files.into_iter().enumerate()).collect();
    files.sort_by_key(|(rank, _)| *rank);
    Ok(Some(PhotoFiles::of(origin, classes, files.into_iter().map(|(_, file)| file).collect(), remarks)))
}

/// Most images of every class, and a fraction of them, at least one where there are two: the same ones for every run.
fn divided(all: &PhotoFiles, fraction: f64) -> (PhotoFiles, PhotoFiles) {
    let (mut most, mut few) = (Vec::new(), Vec::new());
    for class in 0..all.classes.len() {
        let mut own: Vec<usize> = (0..all.files.len()).filter(|&index| all.files[index].1 == class).collect();
        own.shuffle(&mut Seed::new(0).named("split").fold_in(class as u64).rng());
        let count =
            ((own.len() as f64 * fraction).round() as usize).clamp(usize::from(own.len() > 1), own.len().saturating_sub(1));
        let (first, rest) = own.split_at(count);
        few.extend_from_slice(first);
        most.extend_from_slice(rest);
    }
    most.sort_unstable();
    few.sort_unstable();
    (all.only(&most), all.only(&few))
}

/// The images of class folders, such as a user gives as a test set: of the folder's test part, its validation part, or all.
///
/// # Errors
/// If there are no images, or files cannot be read.
pub(crate) fn class_folders(path: &Path, how: Check) -> Result<Arc<dyn Images>> {
    let found = layout::read(path, &Parts::default())?;
    let called = |names: &[&str]| found.iter().find(|(name, _)| names.contains(&name.to_lowercase().as_str()));
    match called(&TEST).or_else(|| called(&VALIDATION)).or_else(|| found.iter().find(|(name, _)| name.is_empty())) {
        Some((_, files)) => {
            let mut files = files.clone();
            check::look(vec![&mut files], how)?;
            Ok(Arc::new(files))
        }
        None => bail!("{}: it has only a part to train on; give the folder of the part itself", path.display()),
    }
}

#[cfg(test)]
mod tests;

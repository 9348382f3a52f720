//! `PhotoFiles`: image files of any size with their classes, read on demand.

use super::super::images::Images;
use crate::corruption::Dims;
use crate::picture::{self, Limit, Photo};
use anyhow::{Context, Result, bail};
use sncn_train::text_file::listed;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Image files, each with its label.
#[derive(Clone, Debug)]
pub(crate) struct PhotoFiles {
    /// Where they come from, in words.
    pub(super) origin: String,
    pub(super) classes: Vec<String>,
    pub(super) files: Vec<(PathBuf, usize)>,
    /// On files that are left out.
    pub(super) remarks: Vec<String>,
}

/// A part with its name; that of a folder without parts is empty.
pub(super) type Part = (String, PhotoFiles);

impl PhotoFiles {
    /// The files of each class.
    pub(super) fn new(origin: String, classes: Vec<String>, files: Vec<Vec<PathBuf>>, remarks: Vec<String>) -> Self {
        let labelled = (0..).zip(files).flat_map(|(label, files)| files.into_iter().map(move |file| (file, label)));
        Self::of(origin, classes, labelled.collect(), remarks)
    }

    /// Files with their labels. The first of each class come first, then the second of each, so that the first images of a set have
    /// its classes in the same proportion.
    pub(super) fn of(origin: String, classes: Vec<String>, mut files: Vec<(PathBuf, usize)>, remarks: Vec<String>) -> Self {
        let mut counts = vec![0usize; classes.len()];
        let mut rank = |label: usize| counts.get_mut(label).map_or(0, |count| std::mem::replace(count, *count + 1));
        let mut ranked: Vec<(usize, (PathBuf, usize))> = files.drain(..).map(|file| (rank(file.1), file)).collect();
        ranked.sort_by_key(|(rank, (_, label))| (*rank, *label));
        Self { origin, classes, files: ranked.into_iter().map(|(_, file)| file).collect(), remarks }
    }

    /// The labels that occur.
    pub(super) fn occurring(&self) -> BTreeSet<usize> {
        self.files.iter().map(|(_, label)| *label).collect()
    }

    /// Keeps the files with these indices.
    pub(super) fn only(&self, indices: &[usize]) -> Self {
        let files = indices.iter().filter_map(|&index| self.files.get(index).cloned()).collect();
        Self { files, ..self.clone() }
    }

    /// The same files with labels of other classes, by the names of their own.
    ///
    /// # Errors
    /// Names the classes that are not among them.
    pub(super) fn labelled_as(&self, classes: &[String]) -> Result<Self> {
        let place = |name: &String| classes.iter().position(|class| class == name);
        let places: Vec<Option<usize>> = self.classes.iter().map(place).collect();
        let unknown: Vec<&str> =
            self.classes.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(name, _)| name.as_str()).collect();
        if !unknown.is_empty() {
            bail!(
                "{}: classes that the training part does not have: {}; it has: {}",
                self.origin,
                listed(&unknown),
                listed(classes)
            )
        }
        let relabelled =
            |(path, label): &(PathBuf, usize)| places.get(*label).copied().flatten().map(|place| (path.clone(), place));
        Ok(Self { files: self.files.iter().filter_map(relabelled).collect(), classes: classes.to_vec(), ..self.clone() })
    }
}

impl Images for PhotoFiles {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn dims(&self) -> Option<Dims> {
        None
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<usize> {
        let (_, label) = self.files.get(index).with_context(|| format!("image {index} of {}", self.len()))?;
        Ok(*label)
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        let (path, label) = self.files.get(index).with_context(|| format!("image {index} of {}", self.len()))?;
        *out = Photo::from(picture::read(path, Limit::default())?);
        Ok(*label)
    }

    fn describe(&self) -> String {
        let remarks: String = self.remarks.iter().map(|remark| format!("; {remark}")).collect();
        format!("{} ({} images, {} classes{remarks})", self.origin, self.len(), self.classes.len())
    }
}

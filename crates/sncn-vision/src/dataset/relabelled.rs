//! `Relabelled`: images whose classes are some of a network's, in an order of their own.

use super::images::Images;
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Context, Result, bail};
use sncn_train::text_file::listed;
use std::sync::Arc;

/// Images with the labels of other classes that their own are among.
pub(crate) struct Relabelled {
    images: Arc<dyn Images>,
    /// For every own class its place among the others.
    places: Vec<usize>,
    classes: Vec<String>,
    /// Whether some of the others do not occur.
    is_subset: bool,
}

impl Relabelled {
    /// The images with the labels that their classes have among `classes`.
    ///
    /// # Errors
    /// Names the classes that are not among them.
    pub(crate) fn new(images: Arc<dyn Images>, classes: &[String]) -> Result<Self> {
        let place = |name: &String| classes.iter().position(|class| class == name);
        let unknown: Vec<&String> = images.classes().iter().filter(|name| place(name).is_none()).collect();
        if !unknown.is_empty() {
            bail!("classes that the network does not know: {}; it was trained on: {}", listed(&unknown), listed(classes))
        }
        let places: Vec<usize> = images.classes().iter().filter_map(place).collect();
        let is_subset = places.len() < classes.len();
        Ok(Self { images, places, classes: classes.to_vec(), is_subset })
    }
}

impl Images for Relabelled {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn dims(&self) -> Option<Dims> {
        self.images.dims()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn class_subset(&self) -> Option<&[usize]> {
        self.is_subset.then_some(self.places.as_slice())
    }

    fn label(&self, index: usize) -> Result<usize> {
        self.place(self.images.label(index)?)
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        self.place(self.images.read(index, out)?)
    }

    fn describe(&self) -> String {
        self.images.describe()
    }
}

impl Relabelled {
    fn place(&self, label: usize) -> Result<usize> {
        self.places.get(label).copied().with_context(|| format!("label {label} of {} classes", self.places.len()))
    }
}

//! `Tables`: the corruptions that were asked for, by the severity table that the size of an image calls for.

use crate::corruption::{self, Dims, Frost, Generator, Variant};
use anyhow::Result;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Severity table.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(super) enum Severities {
    /// That of the size of each image.
    Auto,
    /// CIFAR-10-C (32 × 32).
    Cifar,
    /// ImageNet-C (224 × 224).
    Imagenet,
}

impl Severities {
    /// Its name on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cifar => Variant::Cifar.name(),
            Self::Imagenet => Variant::Imagenet.name(),
        }
    }
}

/// The corruptions at all severities, of both tables; those of a table are built when the first image needs them.
pub(super) struct Tables<'a> {
    chosen: Severities,
    cells: Vec<(&'a str, usize)>,
    frost: &'a Frost,
    built: [OnceLock<Vec<Generator>>; 2],
    images: [AtomicUsize; 2],
}

const VARIANTS: [Variant; 2] = [Variant::Cifar, Variant::Imagenet];

impl<'a> Tables<'a> {
    /// Every corruption at every severity, in that order.
    ///
    /// # Errors
    /// If a name or a severity is unknown.
    pub(super) fn new(chosen: Severities, names: &[&'a str], severities: &[usize], frost: &'a Frost) -> Result<Self> {
        let cells = names.iter().flat_map(|&name| severities.iter().map(move |&severity| (name, severity))).collect();
        let tables = Self { chosen, cells, frost, built: Default::default(), images: Default::default() };
        // what is wrong is said before anything is made
        tables.built(matches!(chosen, Severities::Imagenet).into())?;
        Ok(tables)
    }

    /// How many copies are made of an image.
    pub(super) fn len(&self) -> usize {
        self.cells.len()
    }

    /// The corruptions for images of that size.
    ///
    /// # Errors
    /// If one cannot be built.
    pub(super) fn of(&self, dims: Dims) -> Result<&[Generator]> {
        self.built(self.index(dims))
    }

    /// Notes that an image of that size is corrupted.
    pub(super) fn count(&self, dims: Dims) {
        self.images[self.index(dims)].fetch_add(1, Ordering::Relaxed);
    }

    /// Which tables the counted images took.
    pub(super) fn said(&self) -> String {
        let taken = VARIANTS.iter().zip(self.images.each_ref().map(|count| count.load(Ordering::Relaxed)));
        let taken: Vec<_> = taken.filter(|(_, count)| *count > 0).collect();
        if let [(variant, _)] = *taken {
            return format!("severities as in {}", variant.benchmark());
        }
        let each = taken.iter().map(|(variant, count)| {
            let images = if *count == 1 { "image" } else { "images" };
            let why = if **variant == Variant::Cifar {
                format!(" (shorter side up to {} pixels)", Variant::SMALL)
            } else {
                String::new()
            };
            format!("as in {} for {count} {images}{why}", variant.benchmark())
        });
        format!("severities {}", each.collect::<Vec<_>>().join(", "))
    }

    fn index(&self, dims: Dims) -> usize {
        let imagenet = match self.chosen {
            Severities::Auto => Variant::of(dims) == Variant::Imagenet,
            Severities::Cifar => false,
            Severities::Imagenet => true,
        };
        imagenet.into()
    }

    fn built(&self, index: usize) -> Result<&[Generator]> {
        if let Some(built) = self.built[index].get() {
            return Ok(built);
        }
        let made = self.cells.iter().map(|&(name, severity)| corruption::build(name, severity, VARIANTS[index], self.frost));
        let made = made.collect::<Result<Vec<_>>>()?;
        Ok(self.built[index].get_or_init(|| made))
    }
}

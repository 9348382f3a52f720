//! One picture of all corruptions: a row for each, the clean image and then its severities.

use crate::classify::queue::{Queue, locked};
use crate::corruption::{Dims, Generator};
use crate::picture::Sheet;
use anyhow::Result;
use sncn_core::Seed;
use std::path::Path;
use std::sync::Mutex;

/// Rows that an image has at least on a contact sheet.
const SIDE: usize = 64;

/// The clean image, and the size of the sheet.
pub(super) struct Contact {
    /// The clean image.
    pub(super) image: Vec<u8>,
    /// Its size.
    pub(super) dims: Dims,
    /// How many pixels the sheet has at most from left to right.
    pub(super) width: usize,
    /// The seed of the corruptions.
    pub(super) seed: Seed,
}

impl Contact {
    /// Draws the sheet. Images are corrupted as they are and then made smaller, a few at a time.
    ///
    /// # Errors
    /// If the picture cannot be written.
    pub(super) fn write(&self, names: &[&str], severities: &[usize], generators: &[Generator], path: &Path) -> Result<()> {
        let rows: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let columns: Vec<String> = std::iter::once("clean".to_string()).chain(severities.iter().map(usize::to_string)).collect();
        let sheet = Mutex::new(Sheet::within(self.width, self.dims, SIDE, &rows, &columns));
        for row in 0..names.len() {
            locked(&sheet).place_large(&self.image, self.dims, row, 0)?;
        }
        Queue::run(generators.len(), |piece, queue| {
            let (generator, (row, column)) = (&generators[piece], (piece / severities.len(), piece % severities.len()));
            let _share = queue.share(generator.memory(self.dims) + self.dims.bytes());
            let mut out = vec![0; self.dims.bytes()];
            generator.apply_one(&self.image, self.dims, self.seed, 0, &mut out)?;
            locked(&sheet).place_large(&out, self.dims, row, column + 1)
        })?;
        sheet.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).save(path)
    }
}

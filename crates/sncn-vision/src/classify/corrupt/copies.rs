//! Copies of image files: every file as `<output>/<corruption>/<severity>/<same relative path>.png`, and as it is as
//! `<output>/clean/<same relative path>.png` where that is asked for.

use super::manifest::{CLEAN, class};
use super::tables::Tables;
use crate::classify::digest;
use crate::classify::queue::{Queue, locked};
use crate::corruption::Dims;
use crate::picture::{self, Limit};
use anyhow::{Context, Result};
use image::RgbImage;
use sncn_core::Seed;
use sncn_train::digest::of_set;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes that the file of a corrupted image takes while it is made, for every byte of the image.
const FILE: usize = 2;

/// What is made of which files.
pub(super) struct Copies<'a> {
    /// The files, and their names.
    pub(super) files: &'a [(PathBuf, PathBuf)],
    /// The corruptions at all severities.
    pub(super) tables: &'a Tables<'a>,
    /// Their seed.
    pub(super) seed: Seed,
    /// The largest images that are read.
    pub(super) limit: Limit,
    /// Whether images are copied as they are too.
    pub(super) clean: bool,
    /// The folder of the copies.
    pub(super) output: &'a Path,
}

/// An image while copies are made of it.
struct Current {
    image: Option<Arc<RgbImage>>,
    left: usize,
}

impl Copies<'_> {
    /// Writes all copies. A thread makes one copy at a time, and threads that have none to make take rows of the others'; an image is read
    /// when its first copy is made and forgotten after its last. `done` is called after every copy. Returns the names of the images without
    /// their endings, and the digest of the set.
    ///
    /// # Errors
    /// If two copies would have one name, a file does not decode or one cannot be written.
    pub(super) fn write(&self, done: impl Fn() + Sync) -> Result<(Vec<PathBuf>, String)> {
        let stems = picture::stems(self.files)?;
        let (corrupted, each) = (self.tables.len(), self.each());
        let digests = Mutex::new(Vec::with_capacity(self.files.len()));
        let images: Vec<_> = self.files.iter().map(|_| Mutex::new(Current { image: None, left: each })).collect();
        Queue::run(self.files.len() * each, |piece, queue| {
            let index = piece / each;
            let image = self.image(index, &images[index], |image| {
                let digest = digest::of_image(&class(&stems[index]), size(image), image.as_raw());
                locked(&digests).push(digest);
            })?;
            let (dims, name) = (size(&image), picture::with_ending(&stems[index], ".png"));
            let generator = match piece % each {
                last if last == corrupted => None,
                at => Some(&self.tables.of(dims)?[at]),
            };
            // buffers are given back before the file is made
            let memory = generator.map_or(0, |generator| generator.memory(dims));
            let share = queue.share(dims.bytes() + memory.max(FILE * dims.bytes()));
            let (out, folder) = match generator {
                Some(generator) => {
                    let mut out = vec![0; dims.bytes()];
                    generator.apply_one(image.as_raw(), dims, self.seed, index as u64, &mut out)?;
                    (out, self.output.join(generator.name()).join(generator.severity().to_string()))
                }
                None => (image.as_raw().clone(), self.output.join(CLEAN)),
            };
            drop(image);
            let mut current = locked(&images[index]);
            current.left -= 1;
            if current.left == 0 {
                current.image = None;
            }
            drop(current);
            let out = RgbImage::from_raw(dims.width as u32, dims.height as u32, out).context("image size")?;
            picture::save(&folder.join(name), &out)?;
            drop(share);
            done();
            Ok(())
        })?;
        let digests = digests.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((stems, of_set(digests)))
    }

    /// Copies of each file.
    pub(super) fn each(&self) -> usize {
        self.tables.len() + usize::from(self.clean)
    }

    /// An image, which is read where it is not there; `seen` is called with it then.
    fn image(&self, index: usize, current: &Mutex<Current>, seen: impl FnOnce(&RgbImage)) -> Result<Arc<RgbImage>> {
        let mut current = locked(current);
        if let Some(image) = &current.image {
            return Ok(image.clone());
        }
        let image = Arc::new(picture::read(&self.files[index].0, self.limit)?);
        self.tables.count(size(&image));
        seen(&image);
        current.image = Some(image.clone());
        Ok(image)
    }
}

fn size(image: &RgbImage) -> Dims {
    Dims { height: image.height() as usize, width: image.width() as usize }
}

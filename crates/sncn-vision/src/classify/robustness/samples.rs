//! `Sample`: an image with what a corruption makes of it and of the answer to it.

use crate::corruption::Dims;
use crate::picture::Photo;
use crate::preprocess::{Interpolation, resample};
use anyhow::{Context, Result};
use image::{ImageFormat, RgbImage};
use std::collections::HashSet;
use std::io::Cursor;

/// An image whose answer a corruption changes.
pub(super) struct Sample {
    pub(super) corruption: String,
    /// The name or number of the image.
    pub(super) name: String,
    /// Its class, and the answers to it before and after.
    pub(super) label: String,
    pub(super) before: String,
    pub(super) after: String,
    /// Both as PNG files.
    pub(super) clean: Vec<u8>,
    pub(super) corrupted: Vec<u8>,
}

/// The longer side of the images on a page.
const SIDE: usize = 112;

/// Labels of images and the answers to them as they are.
pub(super) struct Answered<'a> {
    pub(super) classes: &'a [String],
    pub(super) labels: &'a [u32],
    pub(super) clean: &'a [u32],
}

impl Answered<'_> {
    /// For each corruption, given with the answers to its images, an image whose answer it changes, where there is one; `shown` gives an
    /// image's name, itself and what the corruption makes of it.
    ///
    /// # Errors
    /// If `shown` fails, or an image has no pixels.
    pub(super) fn samples<'c>(
        &self,
        corrupted: impl Iterator<Item = (&'c str, &'c [u32])>,
        shown: impl Fn(&str, usize) -> Result<(String, Photo, Photo)>,
    ) -> Result<Vec<Sample>> {
        let (mut samples, mut telling) = (Vec::new(), Telling::default());
        for (corruption, found) in corrupted {
            let Some(index) = telling.choose(self.labels, self.clean, found) else { continue };
            let class = |answers: &[u32]| self.classes.get(answers[index] as usize).cloned().unwrap_or_default();
            let (name, clean, changed) = shown(corruption, index)?;
            let (label, before, after) = (class(self.labels), class(self.clean), class(found));
            let (clean, corrupted) = (png(&clean)?, png(&changed)?);
            samples.push(Sample { corruption: corruption.to_string(), name, label, before, after, clean, corrupted });
        }
        Ok(samples)
    }
}

/// Chooses images that show what corruptions do, each another one where that is possible.
#[derive(Default)]
struct Telling(HashSet<usize>);

impl Telling {
    /// The first image whose answer was right and is wrong, or else the first whose answer changed; of those that were not chosen before, if
    /// there is one.
    fn choose(&mut self, labels: &[u32], clean: &[u32], answers: &[u32]) -> Option<usize> {
        let changed = |index: &usize| clean[*index] != answers[*index];
        let all = || (0..labels.len().min(clean.len()).min(answers.len())).filter(changed);
        let right = || all().filter(|&index| clean[index] == labels[index]);
        let is_new = |index: &usize| !self.0.contains(index);
        let found = right().find(is_new).or_else(|| right().next()).or_else(|| all().find(is_new)).or_else(|| all().next());
        self.0.extend(found);
        found
    }
}

/// An image as a PNG file of the size that a page shows.
fn png(photo: &Photo) -> Result<Vec<u8>> {
    let from = photo.dims();
    let longer = from.height.max(from.width).max(1);
    let side = |side: usize| (side * SIDE / longer).max(1);
    let (to, mut shown) = (Dims { height: side(from.height), width: side(from.width) }, Photo::default());
    let by = if longer < SIDE { Interpolation::Nearest } else { Interpolation::Bilinear };
    resample(photo.bytes(), from, by, &mut shown, to)?;
    let image = RgbImage::from_raw(to.width as u32, to.height as u32, shown.into_bytes()).context("image size")?;
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_right_answer_that_becomes_wrong_is_shown() {
        let mut telling = Telling::default();
        assert_eq!(telling.choose(&[0, 1, 1], &[1, 1, 1], &[0, 1, 0]), Some(2));
        assert_eq!(telling.choose(&[0, 1, 1], &[1, 1, 1], &[0, 1, 1]), Some(0));
        assert_eq!(telling.choose(&[0, 1], &[0, 1], &[0, 1]), None);
        // another one than before, unless there is no other
        assert_eq!(telling.choose(&[1, 1, 1], &[1, 1, 1], &[0, 0, 0]), Some(1));
        assert_eq!(telling.choose(&[1, 1, 1], &[1, 1, 1], &[0, 0, 0]), Some(0));
    }
}

//! The digest of a set of labelled images: of their pixels and classes, whatever their files, their format and their order.

use crate::corruption::Dims;
use crate::dataset::Images;
use crate::picture::Photo;
use anyhow::{Context, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use sncn_train::digest::of_set;

/// The digest of one image.
pub(crate) fn of_image(class: &str, dims: Dims, bytes: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(format!("{class} {} {} ", dims.height, dims.width));
    digest.update(bytes);
    digest.finalize().into()
}

/// The digest of a data set.
///
/// # Errors
/// If an image cannot be read.
pub(super) fn of_images(images: &dyn Images) -> Result<String> {
    let one = |photo: &mut Photo, index: usize| -> Result<[u8; 32]> {
        let label = images.read(index, photo)?;
        let class = images.classes().get(label).with_context(|| format!("image {index} has label {label}, which is no class"))?;
        Ok(of_image(class, photo.dims(), photo.bytes()))
    };
    let each = (0..images.len()).into_par_iter().map_init(Photo::default, one);
    Ok(of_set(each.collect::<Result<_>>()?))
}

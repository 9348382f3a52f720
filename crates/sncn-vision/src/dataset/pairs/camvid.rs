//! `camvid`: road scenes in daylight and at dusk (Brostow et al. 2009): `<data-dir>/camvid/{day,dusk}/{images,labels}` and
//! `classes.txt`, frames named `<sequence>_<frame>.png`.
//!
//! Frames of a sequence are nearly alike, so the last fifth of every day sequence is held out in one piece (`camvid-day`), two
//! frames before it are left out, and the rest is the training set. `camvid-dusk` is another recording in other light.

use super::colours::CAMVID;
use super::files::{FilePairs, Files, from_publisher};
use super::legend::Legend;
use super::pair::{PairSplits, Pairs};
use crate::dataset::Source;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// Frames between training and held-out frames.
const GAP: usize = 2;

/// Opens the data set.
///
/// # Errors
/// Where a folder is missing, a file has no partner, or there is no frame to train on.
pub fn open(source: &Source) -> Result<PairSplits> {
    let folder = from_publisher(
        source.folder("camvid")?.join("camvid"),
        "day and dusk, each with images and labels, and classes.txt",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    )?;
    let mut legend = Legend::read(&folder.join("classes.txt"))?;
    for (class, colour) in legend.classes.iter().zip(&mut legend.colours) {
        if let Some((_, own)) = CAMVID.iter().find(|(name, _)| name == class) {
            *colour = *own;
        }
    }
    let (train, held) = split(FilePairs::of_folder(&folder.join("day"))?);
    ensure!(!train.is_empty() && !held.is_empty(), "{}: too few frames to hold some out", folder.join("day").display());
    let dusk = FilePairs::of_folder(&folder.join("dusk"))?;
    let set = |files, what: &str| -> Arc<dyn Pairs> { Arc::new(FilePairs::new(files, legend.clone(), what)) };
    let test = vec![
        ("camvid-day".to_string(), set(held, "CamVid, held-out stretches of day")),
        ("camvid-dusk".to_string(), set(dusk, "CamVid, dusk")),
    ];
    Ok(PairSplits { train: set(train, "CamVid, day"), test })
}

/// The sequence that a frame belongs to.
fn sequence(files: &Files) -> String {
    let name = files.image.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('_').next().unwrap_or_default().to_string()
}

/// Frames to train on and frames held out.
fn split(files: Vec<Files>) -> (Vec<Files>, Vec<Files>) {
    let (mut train, mut held) = (Vec::new(), Vec::new());
    for frames in files.chunk_by(|one, two| sequence(one) == sequence(two)) {
        let count = frames.len() / 5;
        let (before, after) = frames.split_at(frames.len() - count);
        train.extend_from_slice(&before[..before.len().saturating_sub(GAP)]);
        held.extend_from_slice(after);
    }
    (train, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_out_frames_are_the_ends_of_sequences() {
        let frame = |sequence: &str, number: usize| {
            let path = std::path::PathBuf::from(format!("{sequence}_{number:03}.png"));
            Files { image: path.clone(), labels: path }
        };
        let files: Vec<_> = (0..20).map(|i| frame("a", i)).chain((0..11).map(|i| frame("b", i))).collect();
        let (train, held) = split(files.clone());
        assert_eq!(train, [&files[..14], &files[20..27]].concat());
        assert_eq!(held, [&files[16..20], &files[29..]].concat());
    }
}

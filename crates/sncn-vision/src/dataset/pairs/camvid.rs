//! `camvid`: road scenes in daylight and at dusk (Brostow et al. 2009): `<data-dir>/camvid/{day,dusk}/{images,labels}` and
//! `classes.txt`, frames named `<sequence>_<frame>.png`.
//!
//! Consecutive frames are nearly identical, so the test set `camvid-day` is the last fifth of every day sequence, the two frames
//! before it are not used, and the rest is the training set. `camvid-dusk` is another recording, in other light.

use super::colours::CAMVID;
use super::files::{FilePair, FilePairs, from_publisher};
use super::layout::Layout;
use super::legend::Legend;
use super::pair::{PairSplits, Pairs};
use crate::dataset::DataDir;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// Unused frames between training and test frames.
const GAP: usize = 2;

/// Opens CamVid.
///
/// # Errors
/// If a folder is missing, an image has no labels or labels no image, or there are too few frames.
pub(crate) fn open(data_dir: &DataDir) -> Result<PairSplits> {
    let folder = from_publisher(
        data_dir.folder("camvid")?.join("camvid"),
        "day and dusk, each with images and labels, and classes.txt",
        "http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/",
    )?;
    let mut legend = Legend::read(&folder.join("classes.txt"))?;
    for (class, colour) in legend.classes.iter().zip(&mut legend.colours) {
        if let Some((_, own)) = CAMVID.iter().find(|(name, _)| name == class) {
            *colour = *own;
        }
    }
    let of_folder = |name: &str| Ok::<_, anyhow::Error>(FilePairs::of_folder(&folder.join(name), &Layout::default())?.0);
    let (train, day) = split(of_folder("day")?);
    ensure!(
        !train.is_empty() && !day.is_empty(),
        "{}: too few frames for a training and a test set",
        folder.join("day").display()
    );
    let dusk = of_folder("dusk")?;
    let set = |files, what: &str| -> Arc<dyn Pairs> { Arc::new(FilePairs::new(files, legend.clone(), what)) };
    let test = vec![
        ("camvid-day".to_string(), set(day, "CamVid, day, ends of the sequences")),
        ("camvid-dusk".to_string(), set(dusk, "CamVid, dusk")),
    ];
    Ok(PairSplits { train: set(train, "CamVid, day"), validation: None, test })
}

/// The name of the sequence of a frame.
fn sequence(files: &FilePair) -> String {
    let name = files.image.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    name.split('_').next().unwrap_or_default().to_string()
}

/// Training frames and test frames.
fn split(files: Vec<FilePair>) -> (Vec<FilePair>, Vec<FilePair>) {
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for frames in files.chunk_by(|one, two| sequence(one) == sequence(two)) {
        let count = frames.len() / 5;
        let (before, after) = frames.split_at(frames.len() - count);
        train.extend_from_slice(&before[..before.len().saturating_sub(GAP)]);
        test.extend_from_slice(after);
    }
    (train, test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_frames_are_the_ends_of_sequences() {
        let frame = |sequence: &str, number: usize| {
            let path = std::path::PathBuf::from(format!("{sequence}_{number:03}.png"));
            FilePair { image: path.clone(), labels: path }
        };
        let files: Vec<_> = (0..20).map(|i| frame("a", i)).chain((0..11).map(|i| frame("b", i))).collect();
        let (train, day) = split(files.clone());
        assert_eq!(train, [&files[..14], &files[20..27]].concat());
        assert_eq!(day, [&files[16..20], &files[29..]].concat());
    }
}

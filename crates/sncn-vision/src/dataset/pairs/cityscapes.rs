//! `cityscapes` (Cordts et al. 2016) and `gta5` (Richter et al. 2016), which has the same labels: 19 evaluated classes; all
//! other ids are void.
//!
//! FilePair of `cityscapes`: `<data-dir>/cityscapes/{leftImg8bit,gtFine}/{train,val}/<city>/<frame>_{leftImg8bit,gtFine_labelIds}.png`.
//! Its test set is `cityscapes`, the official validation split. FilePair of `gta5`: `<data-dir>/gta5/{images,labels}/<number>.png`.
//! The official splits are published as a MATLAB file: write them as `gta5/train.txt` and `gta5/val.txt`, one file name per line.
//! Without these files the first half is the training set and the next quarter the test set. Its test sets are `gta5` and, if its
//! folder exists, `cityscapes`.

use super::colours::CITYSCAPES;
use super::files::{FilePair, FilePairs, from_publisher};
use super::layout::Layout;
use super::legend::Legend;
use super::pair::{PairSplits, Pairs};
use crate::dataset::DataDir;
use crate::picture;
use anyhow::{Context, Error, Result, ensure};
use sncn_train::data::VOID;
use sncn_train::text_file;
use std::path::Path;
use std::sync::Arc;

/// The ids of the classes in label files.
const IDS: [u8; 19] = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33];

/// The highest id, which is the license plate in GTA5.
const LAST_ID: u8 = 34;

/// The legend of the 19 classes, which label files store as ids 0 to 34.
pub(crate) fn legend() -> Legend {
    let code = |id| IDS.iter().position(|own| *own == id).map_or(VOID as u8, |class| class as u8);
    Legend::new(&CITYSCAPES).with_codes((0..=LAST_ID).map(code))
}

/// Opens `cityscapes`.
///
/// # Errors
/// If a folder is missing or empty, or a frame has no labels.
pub(crate) fn open(data_dir: &DataDir) -> Result<PairSplits> {
    let folder = from_publisher(
        data_dir.folder("cityscapes")?.join("cityscapes"),
        "leftImg8bit and gtFine",
        "https://www.cityscapes-dataset.com/",
    )?;
    let test = vec![("cityscapes".to_string(), split(&folder, "val")?)];
    Ok(PairSplits { train: split(&folder, "train")?, validation: None, test })
}

fn split(folder: &Path, name: &str) -> Result<Arc<dyn Pairs>> {
    let (images, beside) = (folder.join("leftImg8bit").join(name), folder.join("gtFine").join(name));
    let mut files = Vec::new();
    for image in picture::list(&images, None)?.images {
        let own = image.strip_prefix(&images).unwrap_or(&image).to_string_lossy().into_owned();
        let frame = own.strip_suffix("_leftImg8bit.png");
        let frame = frame.with_context(|| format!("{}: the names end in _leftImg8bit.png", image.display()))?;
        let labels = beside.join(format!("{frame}_gtFine_labelIds.png"));
        ensure!(labels.is_file(), "{}: its label file {} is missing", image.display(), labels.display());
        files.push(FilePair { image, labels });
    }
    ensure!(!files.is_empty(), "{}: no images", images.display());
    Ok(Arc::new(FilePairs::new(files, legend(), &format!("Cityscapes {name}"))))
}

/// Opens `gta5`.
///
/// # Errors
/// If a folder is missing or empty, a frame has no labels, or a list names a frame that does not exist.
pub(crate) fn open_gta5(data_dir: &DataDir) -> Result<PairSplits> {
    let data = data_dir.folder("gta5")?;
    let homepage = "https://download.visinf.tu-darmstadt.de/data/from_games/";
    let folder = from_publisher(data.join("gta5"), "images and labels", homepage)?;
    let (all, _) = FilePairs::of_folder(&folder, &Layout::default())?;
    let listed = |name: &str| -> Result<Option<Vec<FilePair>>> {
        let path = folder.join(name);
        let Ok(bytes) = std::fs::read(&path) else { return Ok(None) };
        let text = text_file::lines(bytes).map_err(Error::msg).with_context(|| path.display().to_string())?;
        let find = |line: &str| {
            let found = all.iter().find(|files| files.image.file_name().is_some_and(|name| name == line));
            found.cloned().with_context(|| format!("{}: {line:?} is not in {}", path.display(), folder.join("images").display()))
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(find).collect::<Result<Vec<_>>>().map(Some)
    };
    let (half, quarter) = (all.len() / 2, all.len() / 4);
    let train = listed("train.txt")?.unwrap_or_else(|| all[..half].to_vec());
    let val = listed("val.txt")?.unwrap_or_else(|| all[half..half + quarter].to_vec());
    ensure!(!train.is_empty() && !val.is_empty(), "{}: {} images are too few for two splits", folder.display(), all.len());
    let set = |files, what: &str| -> Arc<dyn Pairs> { Arc::new(FilePairs::new(files, legend(), what)) };
    let mut test = vec![("gta5".to_string(), set(val, "GTA5 val"))];
    if data.join("cityscapes").is_dir() {
        test.push(("cityscapes".to_string(), split(&data.join("cityscapes"), "val")?));
    }
    Ok(PairSplits { train: set(train, "GTA5 train"), validation: None, test })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_classes_and_the_others_void() {
        let legend = legend();
        assert_eq!(
            [7, 33, 0, 34, 255, 35].map(|id| legend.class_of(id)),
            [Some(0), Some(18), Some(255), Some(255), Some(255), None]
        );
        assert_eq!(legend.class_of_colour([0, 0, 142]), Some(13));
    }
}

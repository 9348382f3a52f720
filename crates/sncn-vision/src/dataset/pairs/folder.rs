//! `folder`: the user's own images with labels: `<data-dir>/classes.txt` (see [`Legend`]), `<data-dir>/train/{images,labels}`, and
//! every other sub-folder with `images` as a test set of that name; epochs are chosen on that called `val` or `validation`. Perhaps
//! `<data-dir>/labels.json` (see [`Layout`]).

use super::files::FilePairs;
use super::layout::Layout;
use super::legend::Legend;
use super::pair::{PairSplits, Pairs};
use crate::dataset::DataDir;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file of the classes.
const CLASSES: &str = "classes.txt";

/// Names of the folder that epochs are chosen on.
const VALIDATION: [&str; 3] = ["validation", "val", "valid"];

/// Opens one part, a folder with `images` and `labels`; `classes.txt`, and perhaps `labels.json`, lie in it or beside it.
///
/// # Errors
/// As [`open`].
pub(crate) fn part(folder: &Path) -> Result<Arc<dyn Pairs>> {
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).map_or(PathBuf::from("."), Path::to_path_buf);
    let home = if folder.join(CLASSES).is_file() { folder.to_path_buf() } else { above };
    let layout = Layout::read(&home)?;
    let legend = layout.legend(Legend::read(&home.join(CLASSES))?, &home)?;
    let (files, remark) = FilePairs::of_folder(folder, &layout)?;
    remark.iter().for_each(|remark| eprintln!("{}: {remark}", folder.display()));
    Ok(Arc::new(FilePairs::new(files, legend, &folder.display().to_string())))
}

/// Opens the data folder.
///
/// # Errors
/// If the class list or a folder is missing, or an image has no labels or labels no image.
pub(crate) fn open(data_dir: &DataDir) -> Result<PairSplits> {
    let folder = data_dir.folder("folder")?;
    let layout = Layout::read(&folder)?;
    let legend = layout.legend(Legend::read(&folder.join(CLASSES))?, &folder)?;
    let set = |name: &str| -> Result<Arc<dyn Pairs>> {
        let part = folder.join(name);
        let (files, remark) = FilePairs::of_folder(&part, &layout)?;
        let remark = remark.map_or(String::new(), |remark| format!("; {remark}"));
        Ok(Arc::new(FilePairs::new(files, legend.clone(), &format!("{}{remark}", part.display()))))
    };
    let train = set("train")?;
    let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut names = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    names.retain(|path| path.join("images").is_dir() && path.file_name().is_some_and(|name| name != "train"));
    names.sort();
    let names = names.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    let test: Vec<(String, Arc<dyn Pairs>)> = names.map(|name| Ok((name.clone(), set(&name)?))).collect::<Result<_>>()?;
    let kept: Vec<_> = test.iter().filter(|(name, _)| VALIDATION.contains(&name.to_lowercase().as_str())).collect();
    if let [(one, _), (other, _), ..] = kept[..] {
        bail!("{}: {one} and {other} are both names of the validation part; rename one", folder.display())
    }
    let validation = kept.first().map(|(_, pairs)| pairs.clone());
    Ok(PairSplits { train, validation, test })
}

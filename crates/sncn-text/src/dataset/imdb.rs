//! `imdb`: movie reviews (Maas et al. 2011), as JSON lines `imdb/{train,test}.jsonl`, plain or gzipped, or in the publisher's folders
//! `aclImdb/{train,test}/{pos,neg}/*.txt`.

use super::table::{Columns, read_sentiment};
use super::texts::{Example, Texts};
use anyhow::{Context, Result, bail};
use sncn_train::{DataDir, text_file};
use std::path::Path;

/// Opens one split, `train` or `test`.
///
/// # Errors
/// If neither form exists, or a file is damaged.
pub(crate) fn open(data_dir: &DataDir, split: &str) -> Result<Texts> {
    let data = data_dir.folder("imdb")?;
    for name in [format!("imdb/{split}.jsonl"), format!("imdb/{split}.jsonl.gz")] {
        let path = data.join(name);
        if path.is_file() {
            return read_sentiment(&path, &Columns::new("text", "label"), &format!("IMDb {split}, "));
        }
    }
    let folder = data.join("aclImdb").join(split);
    if !folder.is_dir() {
        bail!(
            "{}: neither imdb/{split}.jsonl (or .gz) nor aclImdb/{split} exists; get the data set from https://ai.stanford.edu/~amaas/data/sentiment/",
            data.display()
        )
    }
    let mut examples = of_folder(&folder.join("pos"), 1)?;
    examples.extend(of_folder(&folder.join("neg"), 0)?);
    Ok(Texts::sentiment(examples, format!("IMDb {split}, {}", folder.display())))
}

/// One text per file, in the order of the file names.
fn of_folder(folder: &Path, label: u32) -> Result<Vec<Example>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}: not readable", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    paths.sort();
    let text = |path: &std::path::PathBuf| Ok(Example { text: text_file::read(path)?.text, label });
    paths.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_the_order_of_their_names() -> Result<()> {
        let folder = tempfile::tempdir()?;
        for (name, text) in [("pos/b", "good"), ("pos/a", "fine"), ("neg/a", "bad")] {
            let path = folder.path().join("aclImdb/train").join(format!("{name}.txt"));
            std::fs::create_dir_all(path.parent().unwrap())?;
            std::fs::write(path, text)?;
        }
        let data_dir = DataDir { path: Some(folder.path().to_path_buf()) };
        let texts: Vec<_> = open(&data_dir, "train")?.examples.into_iter().map(|e| (e.text, e.label)).collect();
        assert_eq!(texts, [("fine".to_string(), 1), ("good".to_string(), 1), ("bad".to_string(), 0)]);
        assert!(format!("{:#}", open(&data_dir, "test").unwrap_err()).contains("aclImdb/test"));
        Ok(())
    }
}

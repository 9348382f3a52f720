//! Sets of labelled texts, by name.
//!
//! Texts under a distribution shift are a named test set like any other: a run trains on one set and is tested on others. A new set
//! is one line in [`TEXT_SETS`], and one file if it has a format of its own.

mod amazon;
mod imdb;
pub mod reviews;
pub mod table;
mod texts;

pub use table::CLASSES;
pub(crate) use texts::Labels;
pub use texts::{Example, Texts};

use anyhow::{Context, Result, bail, ensure};
use sncn_train::DataDir;
use sncn_train::text_file::quoted;
use std::path::{Path, PathBuf};
use table::{Columns, ENDINGS};

/// Every `VALIDATION`-th text of a training set belongs to the validation set.
const VALIDATION: usize = 10;

/// Opens a set of texts in a data folder.
pub type Open = fn(&DataDir) -> Result<Texts>;

/// Every set of texts by name. A run that names `<set>` trains on `<set>-train` without its validation set, `<set>-validation`, which
/// is a tenth of it.
pub const TEXT_SETS: &[(&str, Open)] = &[
    ("reviews-train", |_| Ok(reviews::films("train", 2000))),
    ("reviews-films", |_| Ok(reviews::films("test", 1000))),
    ("reviews-kitchen", |_| Ok(reviews::kitchen("test", 1000))),
    ("imdb-train", |data_dir| imdb::open(data_dir, "train")),
    ("imdb", |data_dir| imdb::open(data_dir, "test")),
    ("sst2-train", |data_dir| sst2(data_dir, "train.tsv")),
    ("sst2", |data_dir| sst2(data_dir, "dev.tsv")),
    ("sst2-sentences-train", |data_dir| sst2(data_dir, "sentences-train.tsv")),
    ("sst2-sentences", |data_dir| sst2(data_dir, "sentences-test.tsv")),
    ("amazon-books", |data_dir| amazon::open(data_dir, "books")),
    ("amazon-dvd", |data_dir| amazon::open(data_dir, "dvd")),
    ("amazon-electronics", |data_dir| amazon::open(data_dir, "electronics")),
    ("amazon-kitchen", |data_dir| amazon::open(data_dir, "kitchen")),
    ("own-train", |data_dir| own(data_dir, "train")),
    ("own", |data_dir| own(data_dir, "test")),
];

/// Opens a set by name, including `<set>-validation`. The path of a table is also accepted: `<path>` if its columns are `text` and
/// `label`, otherwise `<path>:<column of texts>:<column of labels>`.
///
/// # Errors
/// If the name is unknown (the error lists the known ones), or files are missing or damaged.
pub fn open(name: &str, data_dir: &DataDir) -> Result<Texts> {
    let texts = if let Some(set) = name.strip_suffix("-validation") {
        named(&trained_on(set), data_dir)?.split_validation(VALIDATION).1
    } else {
        named(name, data_dir)?
    };
    ensure!(!texts.examples.is_empty(), "{name}: no texts ({})", texts.describe);
    Ok(texts)
}

/// The names of the sets that a run may name to train on.
pub fn trainable() -> impl Iterator<Item = &'static str> {
    TEXT_SETS.iter().filter_map(|(name, _)| name.strip_suffix("-train").or(is_whole(name).then_some(name)))
}

/// The test sets of the data set that a run trains on, as far as they are there, of a domain those of its neighbours.
pub(crate) fn tested_on(train: &str, data_dir: &DataDir) -> Vec<String> {
    let family = |name: &str| name.split('-').next().map(str::to_string);
    let is_there = |name: &&str| match *name {
        "own" => own_file(data_dir, "test").is_ok(),
        name => named(name, data_dir).is_ok(),
    };
    let names = TEXT_SETS.iter().map(|(name, _)| *name).filter(|name| !is_table(train) && family(name) == family(train));
    let is_tested = |name: &&str| !name.ends_with("-train") && (*name != train || !is_whole(train));
    names.filter(is_tested).filter(is_there).map(str::to_string).collect()
}

/// Whether a set has no test part of its own: a table by its path, or a domain of Amazon's reviews.
pub(crate) fn is_whole(name: &str) -> bool {
    is_table(name) || name.starts_with("amazon-")
}

/// Whether a name is the path of a table.
pub(crate) fn is_table(name: &str) -> bool {
    path_of(name).is_some()
}

/// The training texts of a run that names `name`: `<name>-train`, or the table with this path, without the validation set.
///
/// # Errors
/// If the name is unknown (the known ones are listed), or files are missing or damaged.
pub fn training(name: &str, data_dir: &DataDir) -> Result<Texts> {
    Ok(split(name, data_dir)?.0)
}

/// The training texts and the validation set of a run that names `name`; files are read once.
///
/// # Errors
/// If the name is unknown (the known ones are listed), or files are missing or damaged.
pub fn split(name: &str, data_dir: &DataDir) -> Result<(Texts, Texts)> {
    let (train, validation) = named(&trained_on(name), data_dir)?.split_validation(VALIDATION);
    ensure!(train.examples.len() > 1, "{name}: the training set has {} text(s); expected at least 2", train.examples.len());
    ensure!(train.classes.len() > 1, "{name}: all texts are of class {:?}; expected at least 2 classes", train.classes.concat());
    Ok((train, validation))
}

fn named(name: &str, data_dir: &DataDir) -> Result<Texts> {
    match TEXT_SETS.iter().find(|(known, _)| *known == name) {
        Some((_, open)) => open(data_dir),
        None => {
            if let Some((path, columns)) = path_of(name) {
                return table::read(path, &columns);
            }
            ensure!(
                !Path::new(name).is_dir(),
                "{name}: a folder; give the path of a table in it, or the name of a set and its folder by --data-dir"
            );
            let known: Vec<_> = TEXT_SETS.iter().map(|(name, _)| *name).collect();
            bail!(
                "unknown set of texts {}, and no such file; known: {}, each <set>-train as <set>-validation too, or the path of a .{} file \
                 (<path>:<column of texts>:<column of labels> where they are not text and label)",
                quoted(name),
                known.join(", "),
                ENDINGS.join(", .")
            )
        }
    }
}

/// The file and columns of a name that is a path.
fn path_of(name: &str) -> Option<(&Path, Columns)> {
    let plain = Path::new(name);
    if plain.is_file() {
        return Some((plain, Columns::new("text", "label")));
    }
    let mut parts = name.rsplitn(3, ':');
    let (label, text, path) = (parts.next()?, parts.next()?, Path::new(parts.next()?));
    path.is_file().then(|| (path, Columns::new(text, label)))
}

/// The name of the training texts of a set.
fn trained_on(set: &str) -> String {
    if is_whole(set) { set.to_string() } else { format!("{set}-train") }
}

/// SST-2 (Socher et al. 2013) in GLUE's form or as sentences: tab-separated, `sentence` and `label`.
fn sst2(data_dir: &DataDir, file: &str) -> Result<Texts> {
    let data = data_dir.folder("sst2")?;
    // the publisher's archive uses the second name
    let folder =
        ["sst2", "SST-2"].map(|name| data.join(name)).into_iter().find(|path| path.is_dir()).unwrap_or(data.join("sst2"));
    table::read_sentiment(&folder.join(file), &Columns::new("sentence", "label"), "SST-2, ")
}

/// The user's own texts: `{train,test}` in `own`, or in the data folder itself, as a table with columns `text` and `label`, plain or
/// gzipped.
fn own(data_dir: &DataDir, part: &str) -> Result<Texts> {
    table::read(&own_file(data_dir, part)?, &Columns::new("text", "label"))
}

fn own_file(data_dir: &DataDir, part: &str) -> Result<PathBuf> {
    let data = data_dir.folder("own")?;
    let folder = Some(data.join("own")).filter(|own| own.is_dir()).unwrap_or(data);
    let names: Vec<_> = ENDINGS.iter().flat_map(|end| [format!("{part}.{end}"), format!("{part}.{end}.gz")]).collect();
    let found = names.iter().map(|name| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("{}: none of {} exists", folder.display(), names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_texts_are_not_trained_on() -> Result<()> {
        let data_dir = DataDir::default();
        let (train, validation) = (training("reviews", &data_dir)?, open("reviews-validation", &data_dir)?);
        let all = open("reviews-train", &data_dir)?;
        assert_eq!((train.examples.len(), validation.examples.len(), all.examples.len()), (1800, 200, 2000));
        assert!(validation.examples.iter().all(|text| !train.examples.contains(text)));
        let of_class = |label: u32| validation.examples.iter().filter(|text| text.label == label).count();
        assert_eq!((of_class(0), of_class(1)), (100, 100), "labels alternate, and both classes are there");
        assert_eq!(all.clone().first(Some(3)).examples, all.examples[..3]);
        Ok(())
    }

    #[test]
    fn a_table_by_its_path_is_trained_on_and_its_columns_may_be_named() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mine.csv");
        let rows: String = (0..20).map(|i| format!("{},t{i}\n", i % 2)).collect();
        std::fs::write(&path, format!("stars,review\n{rows}"))?;
        let name = format!("{}:review:stars", path.display());
        let (train, validation) =
            (training(&name, &DataDir::default())?, open(&format!("{name}-validation"), &DataDir::default())?);
        assert_eq!(
            (train.examples.len(), validation.examples.len(), open(&name, &DataDir::default())?.examples.len()),
            (18, 2, 20)
        );
        let error = format!("{:#}", open(&path.display().to_string(), &DataDir::default()).unwrap_err());
        assert!(error.contains("no column \"text\"; there are: stars, review"), "{error}");
        Ok(())
    }

    #[test]
    fn unknown_sets_and_missing_folders_are_named() {
        let error = |name: &str, data_dir: &DataDir| format!("{:#}", open(name, data_dir).unwrap_err());
        assert!(error("imdbb", &DataDir::default()).contains("amazon-books"));
        let nowhere = DataDir { path: Some("/nowhere".into()) };
        assert!(error("sst2", &nowhere).contains("/nowhere/sst2/dev.tsv"));
        assert!(error("own", &nowhere).contains("test.jsonl"));
    }
}

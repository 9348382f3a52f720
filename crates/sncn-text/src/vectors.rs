//! Word vectors in the text formats of GloVe (Pennington et al. 2014: one word and its values per line) and word2vec (the same after
//! a line with the number of words and of values), read line by line; only words of the vocabulary are kept.

use crate::Vocabulary;
use anyhow::{Context, Result, bail, ensure};
use sncn_train::text_file::{no_text, quoted};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Vectors of words of a vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The vectors by token id.
    pub by_id: BTreeMap<u32, Vec<f32>>,
    /// The number of values in a vector.
    pub width: usize,
    /// The number of words of the vocabulary that have no vector.
    pub missing: usize,
}

impl Vectors {
    /// Reads a file; duplicate words keep their first vector.
    ///
    /// # Errors
    /// If the file cannot be read, a line does not fit (the error names it), or the file has no word of the vocabulary.
    pub fn read(path: &Path, vocabulary: &Vocabulary) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{}: the word vectors cannot be read", path.display()))?;
        let (mut reader, mut bytes) = (BufReader::new(file), Vec::new());
        if let Some(what) = no_text(reader.fill_buf().with_context(|| path.display().to_string())?) {
            bail!("{}: {what}", path.display())
        }
        let (mut of, mut width): (BTreeMap<u32, Vec<f32>>, usize) = (BTreeMap::new(), 0);
        for line in 1.. {
            let at = || format!("{}:{line}", path.display());
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).with_context(at)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&bytes);
            let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { &text }.trim_end();
            if text.is_empty() {
                continue;
            }
            let mut parts = text.split(' ');
            let word = parts.next().unwrap_or_default();
            let values: Vec<&str> = parts.collect();
            if line == 1 && values.len() == 1 && word.parse::<u64>().is_ok() && values[0].parse::<u64>().is_ok() {
                continue; // word2vec's first line
            }
            if width == 0 {
                width = values.len();
            }
            // GloVe's files have words with spaces, so the values are the last fields
            ensure!(width > 0 && values.len() >= width, "{}: {} values, expected {width} as before", at(), values.len());
            let (more, values) = values.split_at(values.len() - width);
            let number = |text: &&str| text.parse::<f32>().ok().filter(|value| value.is_finite());
            let Some(values) = values.iter().map(number).collect::<Option<Vec<f32>>>() else {
                bail!(
                    "{}: {} is followed by something that is not a number, or the line does not have {width} values",
                    at(),
                    quoted(word)
                )
            };
            if let Some(id) = vocabulary.id(word).filter(|_| more.is_empty()) {
                of.entry(id).or_insert(values);
            }
        }
        ensure!(width > 0, "{}: no word vectors", path.display());
        ensure!(!of.is_empty(), "{}: none of its words is in the vocabulary", path.display());
        Ok(Self { missing: vocabulary.len() - of.len(), by_id: of, width })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocabularyConfig;

    fn read(bytes: &[u8]) -> Result<Vectors> {
        let vocabulary = Vocabulary::new(&VocabularyConfig::Words { size: 20 }, ["good bad good bad film film"].into_iter())?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("vectors.txt");
        std::fs::write(&path, bytes)?;
        Vectors::read(&path, &vocabulary)
    }

    #[test]
    fn both_formats_are_read_and_missing_words_counted() -> Result<()> {
        let glove = read(b"good 1 -2.5 3e-1\nother 1 2 3\nbad 0 0 0\n. . . 4 5 6\nbad 9 9 9\n")?;
        let mut values: Vec<_> = glove.by_id.values().cloned().collect();
        values.sort_by(|one, two| one[0].total_cmp(&two[0]));
        assert_eq!((values, glove.width, glove.missing), (vec![vec![0., 0., 0.], vec![1., -2.5, 0.3]], 3, 5));
        assert_eq!(read(b"\xef\xbb\xbfgood 1 -2.5 0.3\nbad 0 0 0\n")?, glove);
        assert_eq!(read(b"2 3\ngood 1 -2.5 0.3\nbad 0 0 0\n")?, glove);
        Ok(())
    }

    #[test]
    fn lines_that_do_not_fit_are_named() {
        let error = |bytes: &[u8]| format!("{:#}", read(bytes).unwrap_err());
        assert!(error(b"good 1 2 3\nbad 1 2\n").contains("vectors.txt:2: 2 values, expected 3"));
        assert!(error(b"good 1 2 3\nbad 1 x 3\n").contains("vectors.txt:2"));
        assert!(error(b"good 1 2 3\nbad 1 nan 3\n").contains("vectors.txt:2"));
        assert!(error(b"").contains("no word vectors"));
        assert!(error(b"PK\x03\x04rest").contains("vectors.txt: a zip archive"));
        assert!(error(b"zzz 1 2\n").contains("none of its words"));
    }
}

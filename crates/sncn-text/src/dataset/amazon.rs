//! `amazon-<domain>`: Amazon reviews of one domain (Blitzer et al. 2007), as JSON lines `amazon-reviews/<domain>.jsonl` with `text`
//! and `label`, or in the publisher's files `sorted_data_acl/<domain>/{negative,positive}.review`.

use super::table::{Columns, read_sentiment};
use super::texts::{Example, Texts};
use anyhow::{Context, Result, ensure};
use sncn_train::{DataDir, text_file};
use std::path::Path;

/// Opens the reviews of one domain.
///
/// # Errors
/// If neither form exists, or a file is damaged.
pub(crate) fn open(data_dir: &DataDir, domain: &str) -> Result<Texts> {
    let data = data_dir.folder("amazon-reviews")?;
    let folder = data.join("sorted_data_acl").join(domain);
    if folder.is_dir() {
        let mut examples = Vec::new();
        for (label, name) in [(0, "negative.review"), (1, "positive.review")] {
            examples.extend(of_file(&folder.join(name), label)?);
        }
        return Ok(Texts::sentiment(examples, format!("Amazon reviews of {domain}, {}", folder.display())));
    }
    let path = data.join("amazon-reviews").join(format!("{domain}.jsonl"));
    read_sentiment(&path, &Columns::new("text", "label"), "")
        .with_context(|| format!("neither {} nor a table exists; see cargo xtask data list", folder.display()))
}

/// The texts of a file in the publisher's format: elements in angle brackets, without a root element and without escapes.
fn of_file(path: &Path, label: u32) -> Result<Vec<Example>> {
    let content = text_file::read(path)?.text;
    let (begin, end) = ("<review_text>", "</review_text>");
    let mut examples = Vec::new();
    for part in content.split(begin).skip(1) {
        let text = part.split_once(end).map(|(text, _)| text.trim());
        let text = text.with_context(|| format!("{}: review {} has no {end}: cut short", path.display(), examples.len() + 1))?;
        examples.push(Example { text: text.to_string(), label });
    }
    ensure!(!examples.is_empty(), "{}: no {begin} in it", path.display());
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let data_dir = DataDir { path: Some(folder.path().to_path_buf()) };
        let missing = format!("{:#}", open(&data_dir, "books").unwrap_err());
        assert!(missing.contains("sorted_data_acl/books") && missing.contains("books.jsonl"), "{missing}");
        std::fs::create_dir_all(folder.path().join("amazon-reviews"))?;
        std::fs::write(folder.path().join("amazon-reviews/books.jsonl"), "{\"text\":\"fine\",\"label\":1}\n")?;
        assert_eq!(open(&data_dir, "books")?.examples, [Example { text: "fine".to_string(), label: 1 }]);
        let publishers = folder.path().join("sorted_data_acl/books");
        std::fs::create_dir_all(&publishers)?;
        let review = |text: &str| format!("<review>\n<title>\nt\n</title>\n<review_text>\n{text}\n</review_text>\n</review>\n");
        std::fs::write(publishers.join("negative.review"), review("bad & long") + &review("worse"))?;
        std::fs::write(publishers.join("positive.review"), review("good"))?;
        let texts: Vec<_> = open(&data_dir, "books")?.examples.into_iter().map(|e| (e.text, e.label)).collect();
        assert_eq!(texts, [("bad & long".to_string(), 0), ("worse".to_string(), 0), ("good".to_string(), 1)]);
        std::fs::write(publishers.join("positive.review"), "<review_text>\ncut")?;
        assert!(
            format!("{:#}", open(&data_dir, "books").unwrap_err()).contains("positive.review: review 1 has no </review_text>")
        );
        Ok(())
    }
}

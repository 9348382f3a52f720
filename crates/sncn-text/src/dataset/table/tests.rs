//! Tests: every form of a table, its labels and its faults.

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

fn texts(name: &str, bytes: &[u8]) -> Result<Texts> {
    let (_folder, path) = written(name, bytes);
    read(&path, &Columns::new("text", "label"))
}

fn all(name: &str, bytes: &[u8]) -> Result<Vec<(String, u32)>> {
    Ok(texts(name, bytes)?.examples.into_iter().map(|example| (example.text, example.label)).collect())
}

fn error(name: &str, bytes: &[u8]) -> String {
    let error = format!("{:#}", all(name, bytes).unwrap_err());
    assert!(error.chars().count() < 700, "{error}");
    error
}

#[test]
fn every_form_is_read() -> Result<()> {
    let want = [("a \"b\", c".to_string(), 1), (String::new(), 0)];
    let json = b"{\"text\":\"a \\\"b\\\", c\",\"label\":1}\n\n{\"label\":\"neg\",\"text\":\"\",\"more\":2}";
    assert_eq!(all("a.jsonl", json)?, want);
    assert_eq!(all("a.jsonl.gz", json)?, want);
    assert_eq!(all("a.ndjson", json)?, want);
    assert_eq!(all("a.tsv", b"label\ttext\n1\ta \"b\", c\n0\t\n")?, want);
    assert_eq!(all("a.csv.gz", b"id,text,label\n7,\"a \"\"b\"\", c\",pos\n8,,negative\n")?, want);
    assert_eq!(all("a.csv", b"text,label\n\"two\nlines\",1\n")?, [("two\nlines".to_string(), 1)]);
    for excel in
        [b"text;label\r\nx;1\r\n".as_slice(), b"sep=;\r\ntext;label\r\nx;1\r\n", b"Text\tLABEL \nx\t1.0\n", b"text|label\nx|1\n"]
    {
        let found = all("a.csv", excel);
        if excel.contains(&b'|') {
            assert!(format!("{:#}", found.unwrap_err()).contains("no column \"text\"; there are: text|label"));
        } else {
            assert_eq!(found?, [("x".to_string(), 1)]);
        }
    }
    // gzip by content, whatever the name says
    let (_folder, packed) = written("a.csv.gz", b"text,label\nx,1\n");
    let plain = packed.with_file_name("b.csv");
    std::fs::rename(&packed, &plain)?;
    assert_eq!(read(&plain, &Columns::new("text", "label"))?.examples.len(), 1);
    Ok(())
}

#[test]
fn every_form_of_json_is_read() -> Result<()> {
    let want = [("fine".to_string(), 1), ("bad".to_string(), 0)];
    for json in [
        r#"[{"text": "fine", "label": 1}, {"text": "bad", "label": 0}]"#,
        "[\n  {\"text\": \"fine\",\n   \"label\": true},\n  {\"text\": \"bad\", \"label\": false}\n]\n",
        r#"{"text": "fine", "label": "1.0"} {"text": "bad", "label": 0.0}"#,
        r#"{"text": ["fine", "bad"], "label": [1, 0]}"#,
        r#"{"text": {"0": "fine", "1": "bad"}, "label": {"0": "pos", "1": "neg"}}"#,
        r#"{"0": {"text": "fine", "label": 1}, "1": {"text": "bad", "label": 0}}"#,
        r#"{"columns": ["label", "text"], "index": [0, 1], "data": [[1, "fine"], [0, "bad"]]}"#,
        r#"{"schema": {"fields": []}, "data": [{"text": "fine", "label": 1}, {"text": "bad", "label": 0}]}"#,
        r#"{"version": "1", "records": {"train": [{"text": "fine", "label": 1}, {"text": "bad", "label": 0}]}}"#,
        r#"{"data": {"text": ["fine", "bad"], "label": [1, 0]}}"#,
        r#"{"rows": [{"row_idx": 0, "row": {"text": "fine", "label": 1}}, {"row_idx": 1, "row": {"text": "bad", "label": 0}}]}"#,
    ] {
        assert_eq!(all("a.json", json.as_bytes()).with_context(|| json.to_string())?, want, "{json}");
        assert_eq!(all("a.jsonl", json.as_bytes())?, want, "{json}");
    }
    assert_eq!(all("a.json", br#"{"text": "fine", "label": 1}"#)?, want[..1]);
    Ok(())
}

#[test]
fn encodings_are_found_and_told() -> Result<()> {
    let wide: Vec<u8> = "text,label\ncaf\u{e9},1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, told) in [
        (b"\xef\xbb\xbftext,label\ncaf\xc3\xa9,1\n".to_vec(), None),
        ([b"\xff\xfe".as_slice(), &wide].concat(), Some("read as UTF-16LE")),
        (wide, Some("read as UTF-16LE")),
        (b"text,label\ncaf\xe9,1\n".to_vec(), Some("not UTF-8: read as Windows-1252 (Latin-1)")),
    ] {
        let found = texts("a.csv", &bytes)?;
        assert_eq!(found.examples[0].text, "caf\u{e9}");
        assert_eq!(found.remark.as_deref(), told);
    }
    let damaged = texts("a.tsv", b"text\tlabel\ncaf\xc3\xa9 \xff\x00x\t1\n")?;
    assert_eq!(damaged.examples[0].text, "caf\u{e9} \u{fffd}\0x");
    assert_eq!(damaged.remark.as_deref(), Some("1 character is not UTF-8, now U+FFFD"));
    assert!(error("a.csv", b"PK\x03\x04").contains("spreadsheet"));
    Ok(())
}

#[test]
fn labels_are_the_classes_of_the_table() -> Result<()> {
    let found = texts("a.csv", b"text,label\nx,sport\ny,arts\nz,Sport\n")?;
    assert_eq!(found.classes, ["arts", "sport"]);
    assert_eq!(found.examples.iter().map(|example| example.label).collect::<Vec<_>>(), [1, 0, 1]);
    let found = texts(
        "a.jsonl",
        b"{\"text\":\"x\",\"label\":\"5 stars\"}\n{\"text\":\"y\",\"label\":1}\n{\"text\":\"z\",\"label\":5.0}",
    )?;
    assert_eq!((found.classes, found.examples[2].label), (vec!["1".to_string(), "5 stars".to_string()], 1));
    let (_folder, path) = written("a.csv", b"text,label\nx,1\ny,sport\n");
    let error = format!("{:#}", read_sentiment(&path, &Columns::new("text", "label"), "").unwrap_err());
    assert!(error.contains("a.csv:3: label \"sport\"; accepted: 0, neg"), "{error}");
    Ok(())
}

#[test]
fn what_does_not_fit_is_named_with_its_line() {
    assert!(
        error("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":\"b\"}\n")
            .contains("a.jsonl:2: no column \"label\"; there are: text")
    );
    assert!(
        error("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n\n{\"text\":5,\"label\":1}\n").contains("a.jsonl:3: \"text\" is \"5\"")
    );
    assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":1}\n{\"text\":").contains("a.jsonl:2"));
    assert!(error("a.jsonl", b"{\"text\":5,\"label\":1}").contains("expected a string"));
    assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":0.3}").contains("label \"0.3\": a score"));
    assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":null}").contains("the text has none"));
    assert!(error("a.jsonl", b"{\"text\":\"a\",\"label\":[\"joy\"]}").contains("one class a text"));
    assert!(error("a.json", b"[[\"a\", 1]]").contains("record 1: \"[\\\"a\\\",1]\" is no object"));
    assert!(error("a.json", b"[{\"text\":\"a\",\"label\":NaN}]").contains("a.json:1: not JSON"));
    assert!(error("a.json", b"{\"text\":[\"a\"],\"label\":[1, 2]}").contains("1 texts and 2 labels"));
    let two = br#"{"train":[{"text":"a","label":1}],"test":[{"text":"b","label":1}]}"#;
    assert!(error("a.json", two).contains("records are under train, test"));
    assert!(error("a.tsv", b"sentence\tlabel\nx\t1\n").contains("no column \"text\"; there are: sentence, label"));
    assert!(error("a.tsv", b"text\tlabel\nx\t1\ny\t\n").contains("a.tsv:3"));
    assert!(error("a.tsv", b"text\tlabel\nx\n").contains("a.tsv:2"));
    assert!(error("a.csv", b"text,text,label\na,b,1\n").contains("two columns are named \"text\""));
    assert!(error("a.csv", b"text,label\n").contains("no rows"));
    assert!(error("a.json", b"[]").contains("no rows") && error("a.jsonl", b"").contains("no rows"));
    assert!(error("a.txt", b"").contains(".jsonl, .json, .ndjson, .tsv, .tab, .csv are accepted"));
}

#[test]
fn long_contents_are_not_quoted() {
    let long = "x".repeat(100_000);
    let keys: String = (0..10_000).map(|i| format!("\"key{i}\":1,")).collect();
    for json in [
        format!("{{\"text\":[\"{long}\"],\"label\":1}}"),
        format!("\"{long}\""),
        format!("{{{keys}\"a\":1}}"),
        format!("[\"{long}\"]"),
    ] {
        error("a.json", json.as_bytes());
    }
    error("a.csv", format!("{long},label\nx,1\n").as_bytes());
    error("a.csv", format!("text,label\nx,0.{}\n", "1".repeat(10_000)).as_bytes());
}

#[test]
fn a_damaged_archive_is_an_error() {
    let (_folder, path) = written("a.jsonl.gz", &b"{\"text\":\"a\",\"label\":1}\n".repeat(1000));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(read(&path, &Columns::new("text", "label")).is_err());
}

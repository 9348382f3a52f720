//! The Python example of the documentation, where there is Python.

use crate::measured::{corrupted, robustness};
use anyhow::Result;
use predicates::str::contains;
use std::fs;
use std::process::Command;

/// What is missing.
pub(crate) fn missing() -> Option<String> {
    Command::new("python3").arg("--version").output().is_err().then(|| "no python3".to_string())
}

/// The program of the documentation answers to a folder of copies.
pub(crate) fn the_example_of_the_documentation_works() -> Result<()> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/classify.md")).unwrap();
    let example = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(example.lines().count() <= 20, "{example}");
    let (folder, out) = corrupted();
    let script = folder.path().join("predict.py");
    // a model that needs no package: the size of the file tells
    let import = example.lines().find(|line| line.starts_with("from my_model")).unwrap();
    let body = example.lines().find(|line| line.trim_start().starts_with("return ")).unwrap();
    let model = r#"    return "dark" if open(path, "rb").read(64) else "light""#;
    fs::write(&script, example.replace(import, "").replace(body, model)).unwrap();
    let file = folder.path().join("predictions.csv");
    let output = Command::new("python3").arg(&script).arg(&out).arg(&file).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    robustness(&out, &file).assert().success().stdout(contains("images-c"));
    Ok(())
}

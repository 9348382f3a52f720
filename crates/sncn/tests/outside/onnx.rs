//! ONNX files of networks for texts, answered by ONNX Runtime with the Python example of the documentation, where there is one.

use crate::common::sentiment;
use crate::tensorboard::python;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

const TEXTS: &str =
    "not bad at all\na dull and lifeless film that never ends\nwonderful , warm and funny\n\nbad movie\nfine work\n";

/// What is missing.
pub(crate) fn missing() -> Option<String> {
    let found = Command::new(python()).args(["-c", "import numpy, onnxruntime, tokenizers"]).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    (!is_there).then(|| "no Python with ONNX Runtime and tokenizers (SNCN_PYTHON names one)".to_string())
}

/// The example answers as `predict` does.
pub(crate) fn the_example_of_the_documentation_answers_as_the_program() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/sentiment.md"))?;
    let example = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).context("no example")?;
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let long = "good ".repeat(400);
    fs::write(at("texts.txt"), format!("{TEXTS}{long}\n"))?;
    fs::write(at("answer.py"), example)?;
    let program = |command: &str| {
        let mut program = sentiment();
        program.current_dir(&root).arg(command);
        program
    };
    program("export").arg("sst2-convnet-selfnorm").arg("--output").arg(at("network.onnx")).assert().success();
    let output = program("predict").args(["--model", "sst2-convnet-selfnorm"]).arg(at("texts.txt")).assert().success();
    let ours = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    let ours: Vec<String> = ours
        .lines()
        .map(|line| Ok(serde_json::from_str::<Value>(line)?["label"].as_str().context("no label")?.to_string()))
        .collect::<Result<_>>()?;
    let mut python = Command::new(python())
        .arg(at("answer.py"))
        .arg(at("network.onnx"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    python.stdin.take().context("stdin")?.write_all(&fs::read(at("texts.txt"))?)?;
    let output = python.wait_with_output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_string).collect();
    assert_eq!(theirs, ours);
    assert!(ours.len() == 7 && ours.contains(&"positive".to_string()) && ours.contains(&"negative".to_string()), "{ours:?}");
    Ok(())
}

//! Files, folders and indices, looked at through a table of paths.

use super::*;
use sncn_weights::Content;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// Opens `path` where these files are.
fn open(path: &str, files: &[(&str, Vec<u8>)]) -> Result<Weights, WeightsError> {
    let files: HashMap<PathBuf, &Vec<u8>> = files.iter().map(|(path, bytes)| (PathBuf::from(path), bytes)).collect();
    Weights::open(Path::new(path), |path: &Path| {
        let mut names: Vec<_> =
            files.keys().filter_map(|file| Some(file.strip_prefix(path).ok()?.display().to_string())).collect();
        names.sort();
        match files.get(path) {
            Some(bytes) => Ok(Content::File(bytes.to_vec())),
            None if names.is_empty() => Err(io::ErrorKind::NotFound.into()),
            None => Ok(Content::Folder(names)),
        }
    })
}

fn torch(value: f32) -> Vec<u8> {
    let mut saved = Saved::default();
    let object = saved.state("", value);
    saved.file(&object)
}

/// An index of two files, the last name in the second.
fn index(end: &str) -> Vec<u8> {
    let map: Vec<_> =
        NAMES.iter().enumerate().map(|(at, (name, _))| format!("{name:?}: \"w-{}-of-2.{end}\"", 1 + at / 2)).collect();
    format!("{{\"metadata\": {{}}, \"weight_map\": {{{}}}}}", map.join(", ")).into_bytes()
}

#[test]
fn names_of_files_say_nothing() {
    for (name, bytes) in
        [("a.bin", safetensors("", 1.)), ("a.pth", safetensors("", 1.)), ("a.safetensors", torch(1.)), ("a", torch(1.))]
    {
        let weights = open(name, &[(name, bytes)]).unwrap();
        assert_eq!((loaded(&weights, None).unwrap().0, weights.path()), (1., Path::new(name)));
    }
    refused(open("a.pth", &[]), &["a.pth: not readable"]);
    refused(open("d/a.pth", &[("d/a.pth", b"BZh".to_vec())]), &["d/a.pth: a bzip2 file"]);
}

#[test]
fn a_folder_has_one_usual_name_or_one_file_of_weights() {
    let found = |files: &[(&str, Vec<u8>)]| open("d", files).map(|weights| loaded(&weights, None).unwrap().0);
    assert_eq!(found(&[("d/model.safetensors", safetensors("", 1.)), ("d/pytorch_model.bin", torch(2.))]).unwrap(), 1.);
    assert_eq!(found(&[("d/pytorch_model.bin", torch(2.)), ("d/tf_model.h5", vec![]), ("d/a.pth", torch(3.))]).unwrap(), 2.);
    assert_eq!(found(&[("d/log.txt", vec![]), ("d/best.pth", torch(3.)), ("d/._best.pth", vec![])]).unwrap(), 3.);
    refused(found(&[("d/best.pth", torch(3.)), ("d/last.pth", torch(3.))]), &["d: 2 files", "best.pth, last.pth", "name one"]);
    refused(found(&[("d/log.txt", vec![])]), &["d: no weights in it: none of model.safetensors, "]);
    refused(found(&[("d/tf_model.h5", vec![]), ("d/config.json", vec![])]), &["only TensorFlow's weights", "convert"]);
    refused(found(&[("d/.metadata", vec![]), ("d/__0_0.distcp", vec![])]), &["torch.distributed", "dcp_to_torch"]);
    refused(found(&[("d/flax_model.msgpack", vec![])]), &["only Flax's weights", "convert"]);
    refused(found(&[("d/adapter_model.safetensors", vec![])]), &["only an adapter", "without its base model", "merge"]);
}

#[test]
fn files_of_an_index_are_put_together() {
    let halves = |all: &dyn Fn(f32) -> Vec<u8>, end: &str| {
        [(format!("d/w-1-of-2.{end}"), all(1.)), (format!("d/w-2-of-2.{end}"), all(2.))]
    };
    for (name, end) in [("model.safetensors.index.json", "safetensors"), ("pytorch_model.bin.index.json", "bin")] {
        let make: &dyn Fn(f32) -> Vec<u8> = if end == "bin" { &torch } else { &|value| safetensors("", value) };
        let (at, halves) = (format!("d/{name}"), halves(make, end));
        let files: Vec<_> =
            halves.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).chain([(at.as_str(), index(end))]).collect();
        for path in ["d", at.as_str()] {
            let weights = open(path, &files).unwrap();
            assert_eq!((loaded(&weights, None).unwrap().0, weights.dictionaries()[0].entries().len()), (2., 3), "{path}");
        }
        refused(
            open("d", &files[..1].iter().chain(&files[2..]).cloned().collect::<Vec<_>>()),
            &["index.json: missing: 1 of the 2 files", "w-2-of-2"],
        );
        let damaged: Vec<_> =
            files.iter().map(|(path, bytes)| (*path, if path.contains("w-2") { vec![] } else { bytes.clone() })).collect();
        refused(open("d", &damaged), &["w-2-of-2", "an empty file"]);
    }
}

#[test]
fn an_index_that_leaves_its_folder_or_is_none_is_refused() {
    for file in ["../a.bin", "/a.bin", "b/../../a.bin", "", "c:\\\\a.bin", "."] {
        let index = format!("{{\"weight_map\": {{\"fc.bias\": \"{file}\"}}}}").into_bytes();
        refused(open("d/i.json", &[("d/i.json", index), ("a.bin", torch(1.))]), &["i.json", "not in the folder"]);
    }
    for (text, word) in [
        ("{\"weight_map\": 1}", "from names"),
        ("{\"weight_map\": {}}", "empty"),
        ("{\"weight_map\": {\"a\": 1}}", "no string"),
        ("{\"weight_map\"", "EOF"),
    ] {
        refused(open("i.json", &[("i.json", text.as_bytes().to_vec())]), &["i.json", word]);
    }
}

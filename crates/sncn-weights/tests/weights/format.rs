//! What files are by their content, and what is said of those that are not read.

use super::*;
use sncn_weights::Format;

#[test]
fn formats_are_told_by_content() {
    let mut saved = Saved::default();
    let object = saved.state("", 1.);
    assert_eq!(Format::of(&saved.file(&object)), Format::Torch);
    assert_eq!(Format::of(include_bytes!("../data/legacy.pth")), Format::Torch);
    assert_eq!(Format::of(&safetensors("", 1.)), Format::Safetensors);
    assert_eq!(Format::of(b"{\"metadata\": {}, \"weight_map\": {\"a\": \"b\"}}"), Format::Index);
}

#[test]
fn files_that_are_not_read_are_named_and_something_is_advised() {
    let archive = |names: &[&str]| zipped(&names.iter().map(|name| (name.to_string(), vec![0])).collect::<Vec<_>>());
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 438000000\n".to_vec();
    let cases: [(Vec<u8>, &[&str]); 24] = [
        (vec![], &["an empty file", "fetch"]),
        (lfs, &["a Git LFS pointer to a file of 438000000 bytes", "git lfs pull"]),
        (b"\x1f\x8b\x08\0\0".to_vec(), &["a gzip file", "gzip -d"]),
        (b"BZh9".to_vec(), &["a bzip2 file"]),
        (b"\xfd7zXZ\0\0".to_vec(), &["an xz file"]),
        (b"\x89HDF\r\n\x1a\n\0".to_vec(), &["HDF5", "TensorFlow", "convert"]),
        ([vec![0, 1], vec![0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]].concat(), &["a checkpoint of TensorFlow", "convert"]),
        (b"model_checkpoint_path: \"a\"\n".to_vec(), &["TensorFlow"]),
        (archive(&["a.npy", "b.npy"]), &["NumPy arrays (.npz)"]),
        (b"\x93NUMPY\x01\0".to_vec(), &["a NumPy array"]),
        (b"\x08\x07\x12\x07pytorch".to_vec(), &["an ONNX model"]),
        (b"\x82\xa6params\x80".to_vec(), &["MessagePack", "Flax"]),
        (tar, &["a tar archive", "unpack"]),
        (archive(&["best.pth"]), &["a zip archive (1 files: best.pth", "unpack"]),
        (archive(&["a/version", "a/byteorder"]), &["cut short while it was written"]),
        (b"  <!DOCTYPE html><html>".to_vec(), &["a web page", "login"]),
        (b"{\"a\": 1}".to_vec(), &["JSON"]),
        (b"no weights\n".to_vec(), &["a text that begins with \"no weights\""]),
        ("ü".repeat(3000).into_bytes(), &["a text that begins with"]),
        (b"\x80\x04K\x01.".to_vec(), &["a Python pickle, but not one of torch.save"]),
        (b"\x89PNG\r\n\x1a\n".to_vec(), &["a picture (PNG)"]),
        (b"\xff\xd8\xff\xe0".to_vec(), &["a picture (JPEG)"]),
        (vec![0; 100], &["a file of zeros"]),
        (b"\xc3\x28\x01\x02".to_vec(), &["neither a file of torch.save nor a safetensors file"]),
    ];
    for (bytes, words) in cases {
        refused(Weights::read(bytes), words);
    }
}

#[test]
fn damaged_files_are_refused_without_repeating_the_decoder() {
    let whole = safetensors("", 1.);
    refused(Weights::read(whole[..whole.len() - 1].to_vec()), &["a safetensors file that is damaged or cut short"]);
    refused(Weights::read(whole[..20].to_vec()), &["a safetensors file that is damaged or cut short"]);
    let mut saved = Saved::default();
    let object = saved.state("", 1.);
    let whole = saved.file(&object);
    refused(Weights::read(whole[..whole.len() / 2].to_vec()), &["the zip archive is damaged or cut short", "fetch"]);
    refused(Weights::read(include_bytes!("../data/legacy.pth")[..700].to_vec()), &["truncated"]);
}

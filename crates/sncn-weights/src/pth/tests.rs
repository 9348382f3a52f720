//! Tests: what PyTorch wrote in both forms, and what is damaged or hostile.

use super::*;
use crate::dictionary::Entry;
use candle_core::{DType, Tensor};
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

const ZIP: &[u8] = include_bytes!("../../tests/data/zip.pth");
const LEGACY: &[u8] = include_bytes!("../../tests/data/legacy.pth");
const NESTED: &[u8] = include_bytes!("../../tests/data/nested.pth");

/// The entry of that name in the first dictionary.
fn entry<'f>(file: &'f Pth, name: &str) -> &'f Entry {
    file.dictionaries()[0].entries().iter().find(|entry| entry.name() == name).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn values(file: &Pth, name: &str) -> Vec<f64> {
    let entry = entry(file, name);
    let tensor = &file.tensors(&[entry]).unwrap()[0];
    assert_eq!(tensor.dims(), entry.shape(), "{name}");
    flat(tensor)
}

/// Reads every tensor of every dictionary; the first error, if there is one.
fn all(bytes: &[u8]) -> Result<(), PthError> {
    let file = Pth::read(bytes.to_vec())?;
    for dictionary in file.dictionaries() {
        file.tensors(&dictionary.entries().iter().collect::<Vec<_>>())?;
    }
    Ok(())
}

/// An archive of these records.
fn zipped(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in records {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The pickle of `{"w": tensor}` on a storage of that type and count, with these arguments after it.
fn pickled(storage: &str, count: u8, window: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("}}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n{storage}\n").into_bytes();
    bytes.extend(b"X\x01\0\0\x000X\x03\0\0\0cpuK");
    bytes.push(count);
    bytes.extend([b"tQ".as_slice(), window, b"tRs."].concat());
    bytes
}

fn refused(bytes: &[u8], words: &[&str]) {
    let mut text = String::new();
    let mut error: Option<&dyn std::error::Error> = Some(&all(bytes).unwrap_err());
    while let Some(cause) = error {
        text += &format!("{cause}: ");
        error = cause.source();
    }
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
}

#[test]
fn both_forms_give_what_was_saved() {
    for bytes in [ZIP, LEGACY] {
        let file = Pth::read(bytes.to_vec()).unwrap();
        let names = "w slice p double half bf16 long int short char byte bool u16 empty";
        let found: Vec<_> = file.dictionaries()[0].entries().iter().map(Entry::name).collect();
        assert_eq!((file.dictionaries().len(), found.join(" ").as_str()), (1, names));
        let shape = |name: &str| entry(&file, name).shape();
        // arange(24).view(2, 3, 4).permute(2, 0, 1)
        let w = (0..4).flat_map(|k| (0..2).flat_map(move |i| (0..3).map(move |j| f64::from(12 * i + 4 * j + k))));
        assert_eq!((values(&file, "w"), shape("w")), (w.collect(), [4, 2, 3].as_slice()));
        assert_eq!(values(&file, "slice"), [5., 7., 9.]);
        assert_eq!(values(&file, "p"), [1.5, -2.25]);
        assert_eq!((values(&file, "double"), entry(&file, "double").kind()), (vec![0.1, -0.2], "float64"));
        assert_eq!((values(&file, "half"), values(&file, "bf16")), (vec![0.5, -1.75, 65504.], vec![0.5, -3.]));
        assert_eq!((values(&file, "long"), shape("long")), (vec![7.], [].as_slice()));
        assert_eq!((values(&file, "int"), values(&file, "short")), (vec![-1., 2147483647.], vec![-300.]));
        assert_eq!((values(&file, "char"), values(&file, "byte")), (vec![-5., 5.], vec![0., 255.]));
        assert_eq!((values(&file, "bool"), values(&file, "u16")), (vec![1., 0.], vec![1., 65535.]));
        assert_eq!((values(&file, "empty"), shape("empty")), (vec![], [0, 3].as_slice()));
    }
}

#[test]
fn a_state_dict_within_a_checkpoint_is_found() {
    let file = Pth::read(NESTED.to_vec()).unwrap();
    assert_eq!(file.dictionaries()[0].path(), "state_dict");
    let names: Vec<&str> = file.dictionaries()[0].entries().iter().map(Entry::name).collect();
    assert_eq!((names.len(), names[0], names[6]), (7, "module.0.weight", "module.1.num_batches_tracked"));
    assert_eq!(values(&file, "module.1.running_var"), [1.]);
}

#[test]
fn every_truncation_is_an_error_and_every_changed_byte_an_error_or_a_state_dict() {
    for good in [LEGACY, NESTED] {
        for length in 0..good.len() {
            assert!(Pth::read(good[..length].to_vec()).is_err(), "{length}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut changed = good.to_vec();
                changed[at] ^= 1 << bit;
                let _ = all(&changed);
            }
        }
    }
}

#[test]
fn archives_that_do_not_fit_are_explained() {
    let good = pickled("FloatStorage", 2, b"K\0K\x02\x85K\x01\x85\x89N");
    let archive = |pickle: &[u8], data: &[u8]| zipped(&[("a/data.pkl", pickle), ("a/data/0", data)]);
    assert_eq!(values(&Pth::read(archive(&good, &[0, 0, 128, 63, 0, 0, 0, 64])).unwrap(), "w"), [1., 2.]);
    refused(&archive(&good, &[0; 7]), &["data/0", "7 bytes", "2 elements of float32"]);
    refused(&zipped(&[("a/data.pkl", &good)]), &["data/0", "missing"]);
    refused(&zipped(&[("a/data", &good)]), &["data.pkl", "missing"]);
    refused(&zipped(&[("a/data.pkl", &good), ("b/data.pkl", &good)]), &["twice"]);
    refused(&zipped(&[("a/data.pkl", &good), ("a/byteorder", b"big")]), &["byteorder", "little"]);
    refused(b"PK\x03\x04 and no more", &["zip archive", "damaged"]);
    refused(b"\x89PNG", &["torch.save"]);
    refused(b"", &["torch.save"]);
    let mut flipped = archive(&good, &[7; 8]);
    let at = flipped.windows(8).position(|window| window == [7; 8]).unwrap();
    flipped[at] = 6;
    refused(&flipped, &["data/0", "damaged"]);
    refused(&archive(b"\x80\x02\x99.", &[]), &["pickled object", "0x99", "no pickle"]);
    // what names no tensors has none, and nothing is run
    for other in [b"cos\nsystem\nX\x02\0\0\0id\x85R.".as_slice(), b"}X\x05\0\0\0epochK\x03s."] {
        assert!(Pth::read(archive(other, &[])).unwrap().dictionaries().is_empty());
    }
}

#[test]
fn windows_that_leave_their_storage_are_refused() {
    let at = |storage: &str, count: u8, window: &[u8], words: &[&str]| {
        let pickle = pickled(storage, count, window);
        refused(&zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 8])]), &[&["\"w\""], words].concat());
    };
    at("FloatStorage", 2, b"K\x01K\x02\x85K\x01\x85\x89N", &["offset 1", "2 elements"]);
    at("FloatStorage", 2, b"K\0K\x02\x85K\x02\x85\x89N", &["strides [2]"]);
    at("FloatStorage", 2, b"K\0K\x03\x85K\0\x85\x89N", &["shape [3]", "do not fit"]);
    at("FloatStorage", 2, b"K\0J\0\0\0\x7fJ\0\0\0\x7f\x86K\0K\0\x86\x89N", &["do not fit"]);
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let at = |shape: &[u8], strides: &[u8], word: &str| {
        let pickle = pickled("FloatStorage", 2, &[b"K\0(", shape, b"t(", strides, b"t\x89N"].concat());
        refused(&zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 8])]), &["\"w\"", word]);
    };
    at(&b"K\x01".repeat(65), &b"K\x01".repeat(65), "more than 64 dimensions");
    // empty, but with dimensions whose product overflows
    let huge = b"J\xff\xff\xff\x7f".repeat(3);
    at(&[b"K\0".as_slice(), &huge].concat(), &b"K\0".repeat(4), "do not fit");
    at(b"J\xff\xff\xff\xff", b"K\x01", "shape is no tuple");
    at(b"K\x02", b"J\xff\xff\xff\xff", "strides are no tuple");
    at(b"K\x02", b"K\x01K\x01", "1 dimensions and 2 strides");
}

#[test]
fn storages_of_other_types_are_refused_with_the_accepted_ones() {
    let pickle = pickled("ComplexFloatStorage", 1, b"K\0K\x01\x85K\x01\x85\x89N");
    refused(&zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 8])]), &["ComplexFloatStorage", "BFloat16Storage"]);
    let pickle = pickled("UntypedStorage", 8, b"K\0K\x01\x85K\x01\x85\x89N");
    refused(&zipped(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 8])]), &["untyped storage"]);
}

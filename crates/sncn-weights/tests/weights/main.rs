//! Tests: files made by hand, and what opening, finding and loading them gives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

mod find;
mod format;
mod open;
mod prefix;

use candle_core::{DType, Device};
use sncn_core::{Seed, Vars};
use sncn_weights::{NameMap, Outcome, Weights, WeightsError};
use std::error::Error;
use std::io::{Cursor, Write};
use zip::write::SimpleFileOptions;

/// The names of the network that the tests load, with their shapes.
const NAMES: [(&str, &[usize]); 3] = [("block.0.conv.weight", &[2, 3]), ("fc.weight", &[2, 2]), ("fc.bias", &[2])];

/// Its variables.
fn network() -> Vars {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    NAMES.iter().for_each(|&(name, shape)| drop(vars.builder().get(shape, name).unwrap()));
    vars
}

/// An archive of these records.
fn zipped(records: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in records {
        writer.start_file(name, SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A file of `torch.save` in the making: its storages.
#[derive(Default)]
struct Saved {
    records: Vec<(String, Vec<u8>)>,
}

impl Saved {
    /// The pickle of a tensor whose values are all `value`.
    fn tensor(&mut self, shape: &[usize], value: f32) -> Vec<u8> {
        let (key, count) = (self.records.len().to_string(), shape.iter().product::<usize>());
        self.records.push((format!("a/data/{key}"), value.to_le_bytes().repeat(count)));
        let sizes = |sizes: &[usize]| {
            [b"(".to_vec(), sizes.iter().flat_map(|&size| [b'K', size as u8]).collect(), b"t".to_vec()].concat()
        };
        let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        let place = [
            b"(".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text(&key),
            text("cpu"),
            vec![b'K', count as u8],
        ];
        let begin = b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec();
        [begin, place.concat(), b"tQK\0".to_vec(), sizes(shape), sizes(&strides), b"\x89NtR".to_vec()].concat()
    }

    /// Gives the last tensor's storage other bytes.
    fn replace_last(&mut self, bytes: Vec<u8>) {
        self.records.last_mut().unwrap().1 = bytes;
    }

    /// The pickle of the network's state dict, each name after `prefix`, all values `value`.
    fn state(&mut self, prefix: &str, value: f32) -> Vec<u8> {
        let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("{prefix}{name}")).collect();
        let tensors: Vec<Vec<u8>> = NAMES.iter().map(|(_, shape)| self.tensor(shape, value)).collect();
        dict(&names.iter().map(String::as_str).zip(tensors).collect::<Vec<_>>())
    }

    /// The file whose object has that pickle.
    fn file(mut self, object: &[u8]) -> Vec<u8> {
        self.records.insert(0, ("a/data.pkl".to_string(), [b"\x80\x02", object, b"."].concat()));
        zipped(&self.records)
    }
}

/// The pickle of a text.
fn text(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
}

/// The pickle of a dictionary.
fn dict(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let pair = |(key, value): &(&str, Vec<u8>)| [text(key), value.clone(), b"s".to_vec()].concat();
    [b"}".to_vec(), pairs.iter().flat_map(pair).collect()].concat()
}

/// The pickle of an object with that state.
fn object(class: &str, state: &[u8]) -> Vec<u8> {
    [format!("c__main__\n{class}\n)").as_bytes(), b"\x81", state, b"b"].concat()
}

/// The first value of the last bias after loading, and a line for every outcome and remark.
fn loaded(weights: &Weights, key: Option<&str>) -> Result<(f32, Vec<String>), WeightsError> {
    let names: Vec<String> = NAMES.iter().map(|(name, _)| name.to_string()).collect();
    let found = weights.find(&names, &NameMap::STRICT, key)?;
    let mut lines: Vec<String> = found.place.iter().chain(&found.others).cloned().collect();
    let vars = network();
    found.load(&vars, |outcome: Outcome, name, what| lines.push(format!("{outcome} {name} {what}")))?;
    let bias = vars.all().pop().unwrap().1;
    Ok((bias.as_tensor().to_vec1::<f32>().unwrap()[0], lines))
}

/// The message of an error with its causes, each of which says something new.
fn message(error: &WeightsError) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(cause) = next {
        // candle appends a backtrace where the environment asks for one
        let said = cause.to_string().lines().next().unwrap_or_default().to_string();
        assert!(!text.contains(&said), "{said:?} is said twice: {text}");
        text += &format!("{said}: ");
        next = cause.source();
    }
    assert!(text.chars().count() < 700, "{} characters", text.chars().count());
    text.trim_end_matches(": ").to_string()
}

/// Checks that a result is an error with these words.
fn refused<T>(result: Result<T, WeightsError>, words: &[&str]) {
    let text = message(&result.err().expect("an error"));
    words.iter().for_each(|word| assert!(text.contains(word), "{word:?} is not in: {text}"));
}

/// A safetensors file of the network's state dict, each name after `prefix`, all values `value`.
fn safetensors(prefix: &str, value: f32) -> Vec<u8> {
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in NAMES {
        let begin = data.len();
        data.extend(value.to_le_bytes().repeat(shape.iter().product()));
        header.push(format!(
            "\"{prefix}{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{begin},{}]}}",
            data.len()
        ));
    }
    let header = format!("{{{}}}", header.join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

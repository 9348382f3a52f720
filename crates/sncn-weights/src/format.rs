//! `Format`: what a file is, by its content. Its name says nothing.

use crate::dictionary::clip;
use crate::pth;
use std::fmt;
use std::io::Cursor;
use zip::ZipArchive;

/// The beginning of a Git LFS pointer.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// How far a file is looked at to tell text from binary.
const LOOK: usize = 512;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// A safetensors file.
    Safetensors,
    /// A file of `torch.save`, or a TorchScript archive.
    Torch,
    /// The index of weights in several files: JSON with a `weight_map`.
    Index,
    /// A file that is not read.
    Other {
        /// What it is, with an article.
        what: String,
        /// What to do.
        advice: &'static str,
    },
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Safetensors => f.write_str("a safetensors file"),
            Self::Torch => f.write_str("a file of torch.save"),
            Self::Index => f.write_str("the index of weights in several files"),
            Self::Other { what, .. } => f.write_str(what),
        }
    }
}

/// First bytes, what a file with them is, and what to do.
const BEGINNINGS: &[(&[u8], &str, &str)] = &[
    (b"\x1f\x8b", "a gzip file", "unpack it (gzip -d) and give what was in it"),
    (b"BZh", "a bzip2 file", "unpack it (bzip2 -d) and give what was in it"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it (xz -d) and give what was in it"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it (zstd -d) and give what was in it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and give what was in it"),
    (b"Rar!", "a rar archive", "unpack it and give what was in it"),
    (b"\x89HDF", "an HDF5 file (TensorFlow or Keras)", CONVERT),
    (b"\x93NUMPY", "a NumPy array (.npy)", RESAVE),
    (b"GGUF", "a GGUF file (llama.cpp)", "give the weights that it was made from"),
    (b"\x89PNG", "a picture (PNG)", PICTURE),
    (b"\xff\xd8\xff", "a picture (JPEG)", PICTURE),
    (b"GIF8", "a picture (GIF)", PICTURE),
    (b"RIFF", "a picture or a sound (RIFF)", PICTURE),
    (b"BM", "a picture (BMP)", PICTURE),
    (b"%PDF", "a PDF document", RESAVE),
];
const CONVERT: &str = "convert the weights to PyTorch's, by the library that they are of, and save them as safetensors";
const RESAVE: &str = "give a file of torch.save or a safetensors file";
const PICTURE: &str = "give the file with the weights";
const AGAIN: &str = "fetch the file again";

fn other(what: impl Into<String>, advice: &'static str) -> Format {
    Format::Other { what: what.into(), advice }
}

impl Format {
    /// Tells what the file with these bytes is.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return other("an empty file", AGAIN);
        }
        if bytes.starts_with(POINTER) {
            return pointer(bytes);
        }
        if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
            return zipped(bytes);
        }
        if pth::older(bytes).is_some() {
            return Self::Torch;
        }
        // the length of the header, and its opening brace
        if let (Some(length), Some(b'{')) = (bytes.first_chunk::<8>(), bytes.get(8))
            && u64::from_le_bytes(*length) < 1 << 32
        {
            return Self::Safetensors;
        }
        if let Some(&(_, what, advice)) = BEGINNINGS.iter().find(|(begin, ..)| bytes.starts_with(begin)) {
            return other(what, advice);
        }
        if bytes.get(257..262) == Some(b"ustar") {
            return other("a tar archive", "unpack it and give what was in it; of PyTorch before 0.2, save the weights again");
        }
        if bytes.ends_with(&[0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]) {
            return other("a checkpoint of TensorFlow", CONVERT);
        }
        if bytes.get(4..8) == Some(b"TFL3") {
            return other("a TensorFlow Lite model", CONVERT);
        }
        if let [0x80, 0..=5, ..] = bytes {
            return other("a Python pickle, but not one of torch.save", "load it in Python and save its tensors with torch.save");
        }
        if let [0x08, 0..=31, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] = bytes {
            return other("an ONNX model", "export the state dict of the PyTorch model that it was made from");
        }
        if let [0x81..=0x8f, 0xa1..=0xbf | 0xd9, ..] | [0xde | 0xdf, ..] = bytes {
            return other("a MessagePack file (Flax)", CONVERT);
        }
        if bytes.iter().take(LOOK).all(|&byte| byte == 0) {
            return other("a file of zeros", AGAIN);
        }
        text(bytes).unwrap_or_else(|| other("neither a file of torch.save nor a safetensors file", "give one of these"))
    }
}

/// A Git LFS pointer: three lines, the last of which is the size of the file that it stands for.
fn pointer(bytes: &[u8]) -> Format {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LOOK)]);
    let size = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
    let of = size.map_or("a file".to_string(), |size| format!("a file of {size} bytes"));
    other(
        format!("a Git LFS pointer to {of}, not that file itself"),
        "run `git lfs install` and `git lfs pull` where it was cloned, or download the file by itself",
    )
}

/// A zip archive, by the names in it.
fn zipped(bytes: &[u8]) -> Format {
    // what is damaged is explained by the reader
    let Ok(archive) = ZipArchive::new(Cursor::new(bytes)) else { return Format::Torch };
    let names: Vec<String> = archive.file_names().filter_map(|name| name.ok().map(|name| name.into_owned())).collect();
    let ends = |end: &str| names.iter().filter(|name| name.ends_with(end)).count();
    if ends("/data.pkl") > 0 || names.is_empty() {
        return Format::Torch;
    }
    if ends(".npy") == names.len() {
        return other("an archive of NumPy arrays (.npz)", "load it in Python and save the arrays as tensors with torch.save");
    }
    if names.iter().any(|name| name == "config.json") && ends(".h5") > 0 {
        return other("a Keras model (.keras)", CONVERT);
    }
    if names.iter().any(|name| name.contains("/models/")) && names.iter().any(|name| name.contains("/data/weights/")) {
        return other("a program of torch.export (.pt2)", "save the state_dict() of its module");
    }
    if ends("/version") > 0 && ends("/byteorder") + ends("/.format_version") > 0 {
        return other("a file of torch.save that was cut short while it was written", "save it again");
    }
    let first: Vec<_> = names.iter().take(3).map(|name| clip(name, 50)).collect();
    other(format!("a zip archive ({} files: {}, …)", names.len(), first.join(", ")), "unpack it and give what was in it")
}

/// A file of text, if it is one.
fn text(bytes: &[u8]) -> Option<Format> {
    let look = &bytes[..bytes.len().min(LOOK)];
    let text = match std::str::from_utf8(look) {
        Ok(text) => text,
        // a letter of several bytes may be cut
        Err(error) if error.valid_up_to() + 4 > look.len() => std::str::from_utf8(&look[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let begin = text.trim_start_matches('\u{feff}').trim_start();
    let lower = begin.to_ascii_lowercase();
    if ["<!doctype", "<html", "<?xml", "<head"].iter().any(|start| lower.starts_with(start)) {
        return Some(other(
            "a web page, not a file of weights",
            "the download may have needed a login or another address: fetch it again",
        ));
    }
    if begin.starts_with(['{', '[']) {
        let map = bytes.windows(12).any(|window| window == b"\"weight_map\"");
        return Some(if map { Format::Index } else { other("JSON text", RESAVE) });
    }
    if begin.starts_with("model_checkpoint_path") {
        return Some(other("a list of TensorFlow's checkpoints", CONVERT));
    }
    let line = begin.lines().next().unwrap_or_default();
    Some(other(format!("a text that begins with {:?}", clip(line, 60)), RESAVE))
}

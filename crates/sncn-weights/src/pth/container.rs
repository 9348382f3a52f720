//! The two formats of `torch.save`: where the object's pickle and the storages are.

use super::error::{PthError, Result, part};
use super::tensor::Storages;
use crate::pickle::{Node, Pickle};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::io::{Cursor, Read};
use std::ops::Range;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The magic number of the older format, as pickled after an opening of 2 or 11 bytes.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The version of the older format.
const PROTOCOL: i64 = 1001;

/// Where the magic number of the older format is, if it is there.
pub(crate) fn older(bytes: &[u8]) -> Option<usize> {
    let magic = |&at: &usize| bytes.get(at..).is_some_and(|rest| rest.starts_with(MAGIC));
    [2, 11].into_iter().find(magic).filter(|_| bytes.first() == Some(&0x80))
}

/// Where the parts of a file are.
#[derive(Debug)]
pub(super) enum Container {
    /// The zip archive.
    Zip,
    /// The older format.
    Older {
        /// Where the object's pickle begins.
        object: usize,
        /// Where the storages are.
        ranges: HashMap<String, Range<usize>>,
    },
}

impl Container {
    /// Detects the format and checks the byte order.
    pub(super) fn open(bytes: &[u8]) -> Result<Self> {
        if bytes.starts_with(b"PK") {
            return Archive::open(bytes).map(|_| Self::Zip);
        }
        let Some(opening) = older(bytes) else { return Err(PthError::Form) };
        let mut at = opening + MAGIC.len();
        let protocol = next(bytes, &mut at, "the protocol's pickle")?;
        if protocol.int(protocol.root()) != Some(PROTOCOL) {
            return part("the protocol's pickle", format!("it is not {PROTOCOL}; save the file again with PyTorch 1.0 or later"));
        }
        let system = next(bytes, &mut at, "the pickle about the system")?;
        let little = system.entry(system.root(), "little_endian").map(|id| system.node(id));
        if little != Some(&Node::Bool(true)) {
            return part("the pickle about the system", "little_endian is not true; only little-endian storages are read");
        }
        Ok(Self::Older { object: at, ranges: HashMap::new() })
    }

    /// The object's pickle; in the older format with everything after it.
    pub(super) fn object<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        match self {
            Self::Zip => {
                let mut archive = Archive::open(bytes)?;
                let Some(range) = archive.record("data.pkl")? else { return part("data.pkl", "missing") };
                Ok(&bytes[range])
            }
            Self::Older { object, .. } => Ok(&bytes[*object..]),
        }
    }

    /// Finds the storages of the older format, which follow the object's pickle of `length` bytes.
    pub(super) fn locate(&mut self, bytes: &[u8], length: usize, storages: &Storages) -> Result<()> {
        if let Self::Older { object, ranges } = self {
            *ranges = in_a_row(bytes, *object + length, storages)?;
        }
        Ok(())
    }

    /// Where the storages in `used` are, checked against their checksums and sizes.
    pub(super) fn ranges(
        &self,
        bytes: &[u8],
        storages: &Storages,
        used: &BTreeSet<&str>,
    ) -> Result<HashMap<String, Range<usize>>> {
        if let Self::Older { ranges, .. } = self {
            return match used.iter().find(|key| !ranges.contains_key(**key)) {
                Some(key) => part(&format!("storage {key:?}"), "missing from the list of keys"),
                None => Ok(ranges.clone()),
            };
        }
        let mut archive = Archive::open(bytes)?;
        let mut found = HashMap::new();
        for &key in used {
            let Some(storage) = storages.get(key) else { continue };
            let name = format!("data/{key}");
            let Some(range) = archive.record(&name)? else { return part(&name, "missing from the archive") };
            if Some(range.len()) != storage.bytes() {
                return part(&name, format!("{} bytes, but {} in the pickle", range.len(), storage.describe()));
            }
            found.insert(key.to_string(), range);
        }
        Ok(found)
    }
}

/// An open zip archive, whose records are in one folder.
struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that may still be read: overlapping records would be more than the file.
    left: u64,
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| PthError::Archive(error.to_string()))?;
        let names: Vec<String> = zip.file_names().filter_map(|name| name.ok().map(Cow::into_owned)).collect();
        let folders: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("/data.pkl")).collect();
        let folder = match folders[..] {
            [folder] => folder.to_string(),
            [] => return part("data.pkl", "missing: a zip archive, but not one that torch.save wrote"),
            _ => return part("data.pkl", "occurs twice in the archive"),
        };
        let mut archive = Self { zip, folder, left: bytes.len() as u64 };
        match archive.record("byteorder")?.map(|range| &bytes[range]) {
            None | Some(b"little") => Ok(archive),
            Some(_) => part("byteorder", "not \"little\"; only little-endian storages are read"),
        }
    }

    /// Where the bytes of a record are, checked against its checksum; `None` where there is no such record.
    fn record(&mut self, name: &str) -> Result<Option<Range<usize>>> {
        let full = format!("{}/{name}", self.folder);
        let mut file = match self.zip.by_name(&full) {
            Ok(file) => file,
            Err(ZipError::FileNotFound) => return Ok(None),
            Err(error) => return part(name, error.to_string()),
        };
        if file.compression() != CompressionMethod::Stored {
            return part(name, "compressed; torch.save stores records uncompressed: save the file again");
        }
        let size = file.size();
        let Some(left) = self.left.checked_sub(size) else {
            return part(name, format!("{size} bytes, more than the file has: damaged or hostile"));
        };
        self.left = left;
        let begin = file.data_start();
        let read = match std::io::copy(&mut (&mut file).take(size.saturating_add(1)), &mut std::io::sink()) {
            Ok(read) => read,
            Err(error) => return part(name, format!("damaged or cut short ({error}); fetch the file again")),
        };
        let range = || {
            let begin = usize::try_from(begin?).ok()?;
            let end = begin.checked_add(usize::try_from(size).ok()?)?;
            (read == size).then_some(begin..end)
        };
        match range() {
            Some(range) => Ok(Some(range)),
            None => part(name, format!("{read} of {size} bytes: damaged or cut short; fetch the file again")),
        }
    }
}

/// Reads the pickle at `at` and moves `at` after it.
fn next<'a>(bytes: &'a [u8], at: &mut usize, name: &'static str) -> Result<Pickle<'a>> {
    let pickle = Pickle::read(&bytes[*at..]).map_err(|source| PthError::Pickle { part: name, source })?;
    *at += pickle.bytes_read();
    Ok(pickle)
}

/// The storages of the older format: at `at` a list of their keys, then for each the number of elements and the bytes.
fn in_a_row(bytes: &[u8], mut at: usize, all: &Storages) -> Result<HashMap<String, Range<usize>>> {
    const KEYS: &str = "the list of storage keys";
    let keys = next(bytes, &mut at, KEYS)?;
    let Some(ids) = keys.items(keys.root()) else { return part(KEYS, "not a list") };
    let mut found = HashMap::new();
    for &id in ids {
        let Some(key) = keys.text(id) else { return part(KEYS, "an item is not a string") };
        let name = format!("storage {key:?}");
        let Some(storage) = all.get(&key) else { return part(&name, "in the list, but not in the object") };
        let count = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|count| i64::from_le_bytes(*count));
        if count.is_none_or(|count| usize::try_from(count) != Ok(storage.count)) {
            let found_count = count.map_or("the file ends".to_string(), |count| format!("{count} elements"));
            return part(&name, format!("{found_count}, but {} in the pickle: damaged or cut short", storage.describe()));
        }
        let end = storage.bytes().and_then(|size| (at + 8).checked_add(size)).filter(|&end| end <= bytes.len());
        let Some(end) = end else { return part(&name, format!("cut short: expected {}", storage.describe())) };
        found.insert(key, at + 8..end);
        at = end;
    }
    Ok(found)
}

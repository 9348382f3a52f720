//! The two formats of `torch.save`: where the object's pickle and the storages are.

use super::error::{PthError, Result, part};
use super::state::Storage;
use crate::pickle::{Node, Pickle};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// The magic number of the older format, as pickled after an opening of 2 or 11 bytes.
const MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// The version of the older format.
const PROTOCOL: i64 = 1001;

/// An open file.
pub(super) enum Container<'a> {
    /// The zip archive.
    Zip(Archive<'a>),
    /// The older format.
    Legacy {
        /// The whole file.
        bytes: &'a [u8],
        /// Where the object's pickle begins.
        object: usize,
    },
}

/// A zip archive whose records are in one folder.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    folder: String,
    /// Bytes that may still be read: overlapping records would be more than the file.
    left: u64,
}

impl<'a> Container<'a> {
    /// Detects the format and checks the byte order.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        if bytes.starts_with(b"PK") {
            return Archive::open(bytes).map(Container::Zip);
        }
        let opening = [2, 11].into_iter().find(|&at| bytes.get(at..).is_some_and(|rest| rest.starts_with(MAGIC)));
        let (Some(opening), Some(0x80)) = (opening, bytes.first()) else { return Err(PthError::Form) };
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
        Ok(Container::Legacy { bytes, object: at })
    }

    /// The object's pickle; in the older format with everything after it.
    pub(super) fn object(&mut self) -> Result<Cow<'a, [u8]>> {
        match self {
            Container::Zip(archive) => {
                archive.record("data.pkl")?.map_or_else(|| part("data.pkl", "missing"), |b| Ok(Cow::Owned(b)))
            }
            Container::Legacy { bytes, object } => Ok(Cow::Borrowed(&bytes[*object..])),
        }
    }

    /// The bytes of the storages in `used`; `all` are those that the object's pickle, of `length` bytes, describes.
    pub(super) fn storages(
        mut self,
        all: &HashMap<String, Storage>,
        used: &[&str],
        length: usize,
    ) -> Result<HashMap<String, Cow<'a, [u8]>>> {
        if let Container::Legacy { bytes, object } = self {
            let all = legacy(bytes, object + length, all)?;
            return match used.iter().find(|key| !all.contains_key(**key)) {
                Some(key) => part(&format!("storage {key:?}"), "missing from the list of keys"),
                None => Ok(all),
            };
        }
        let mut found = HashMap::new();
        for key in used {
            let (Container::Zip(archive), Some(storage)) = (&mut self, all.get(*key)) else { continue };
            let name = format!("data/{key}");
            let Some(record) = archive.record(&name)? else { return part(&name, "missing from the archive") };
            if Some(record.len()) != storage.bytes() {
                return part(&name, format!("{} bytes, but {} in the pickle", record.len(), storage.describe()));
            }
            found.insert(key.to_string(), Cow::Owned(record));
        }
        Ok(found)
    }
}

impl<'a> Archive<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(PthError::Archive)?;
        let names: Vec<String> = zip.file_names().filter_map(|name| name.ok().map(Cow::into_owned)).collect();
        let folders: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix("/data.pkl")).collect();
        let folder = match folders[..] {
            [folder] => folder.to_string(),
            [] => return part("data.pkl", "missing: a zip archive, but not one that torch.save wrote"),
            _ => return part("data.pkl", "occurs twice in the archive"),
        };
        let mut archive = Self { zip, folder, left: bytes.len() as u64 };
        match archive.record("byteorder")?.as_deref() {
            None | Some(b"little") => Ok(archive),
            Some(_) => part("byteorder", "not \"little\"; only little-endian storages are read"),
        }
    }

    /// The bytes of a record, checked against its checksum; `None` where there is no such record.
    fn record(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let full = format!("{}/{name}", self.folder);
        let file = match self.zip.by_name(&full) {
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
        let mut bytes = Vec::new();
        if let Err(error) = file.take(size.saturating_add(1)).read_to_end(&mut bytes) {
            return part(name, format!("damaged or cut short ({error}); fetch the file again"));
        }
        if bytes.len() as u64 != size {
            return part(name, format!("{} of {size} bytes: damaged or cut short; fetch the file again", bytes.len()));
        }
        Ok(Some(bytes))
    }
}

/// Reads the pickle at `at` and moves `at` after it.
fn next<'a>(bytes: &'a [u8], at: &mut usize, name: &'static str) -> Result<Pickle<'a>> {
    let pickle = Pickle::read(&bytes[*at..]).map_err(|source| PthError::Pickle { part: name, source })?;
    *at += pickle.bytes_read();
    Ok(pickle)
}

/// The storages of the older format: at `at` a list of their keys, then for each the number of elements and the bytes.
fn legacy<'a>(bytes: &'a [u8], mut at: usize, all: &HashMap<String, Storage>) -> Result<HashMap<String, Cow<'a, [u8]>>> {
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
        let data = storage.bytes().and_then(|size| bytes.get(at + 8..(at + 8).checked_add(size)?));
        let Some(data) = data else { return part(&name, format!("cut short: expected {}", storage.describe())) };
        at += 8 + data.len();
        found.insert(key, Cow::Borrowed(data));
    }
    Ok(found)
}

//! Reading, one row at a time by its position in the file. The file is never loaded whole, and one that is truncated while it
//! is open is an error and not a crash, as it would be with a memory map.

use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The longest accepted header in bytes, which is NumPy's own limit.
const LONGEST: usize = 10_000;

/// An open `.npy` array of shape (rows, …), in a file or another seekable reader.
pub struct NpyFile<F = File> {
    file: Mutex<F>,
    path: PathBuf,
    shape: Vec<usize>,
    dtype: ElementType,
    row_bytes: usize,
    start: u64,
}

/// The type of the elements, an integer type.
struct ElementType {
    /// As NumPy writes it, such as `|u1` or `<i8`.
    name: String,
    /// Bytes of an element: 1, 2, 4 or 8.
    bytes: usize,
    signed: bool,
    big_endian: bool,
}

impl ElementType {
    fn parse(name: &str) -> Option<Self> {
        let (order, rest) = (name.chars().next()?, name.get(1..)?);
        let signed = rest.starts_with('i');
        let bytes = rest.strip_prefix(['i', 'u'])?.parse().ok().filter(|bytes| [1, 2, 4, 8].contains(bytes))?;
        "|<>".contains(order).then(|| Self { name: name.to_string(), bytes, signed, big_endian: order == '>' })
    }

    /// Decodes one element.
    fn number(&self, bytes: &[u8]) -> i128 {
        let join = |value: u64, &byte: &u8| (value << 8) | u64::from(byte);
        let value = if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
        let bits = 8 * self.bytes as u32;
        let negative = self.signed && value >> (bits - 1) == 1;
        i128::from(value) - if negative { 1i128 << bits } else { 0 }
    }
}

/// The text that follows `'key':` in a header.
fn after<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = [format!("'{key}':"), format!("\"{key}\":")].iter().find_map(|k| header.find(k.as_str()).map(|at| at + k.len()))?;
    Some(header[at..].trim_start())
}

impl NpyFile {
    /// Opens a file and checks its header against its size.
    ///
    /// # Errors
    /// If the file is missing, truncated, not a `.npy` file, in Fortran order, or its elements are not integers.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(File::open(path).with_context(|| format!("{}: not readable", path.display()))?, path)
    }
}

impl<F: Read + Seek> NpyFile<F> {
    /// As `open`, for an open reader; errors name it `path`.
    pub fn read(mut file: F, path: &Path) -> Result<Self> {
        let at = path.display();
        let mut magic = [0; 8];
        let read = file.read_exact(&mut magic);
        ensure!(
            read.is_ok() && magic[..6] == *b"\x93NUMPY" && (1..=3).contains(&magic[6]),
            "{at}: not a .npy file (format 1 to 3)"
        );
        let mut length = [0; 4];
        let width = if magic[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut length[..width]).with_context(|| format!("{at}: truncated header"))?;
        let length = u32::from_le_bytes(length) as usize;
        ensure!(length <= LONGEST, "{at}: a header of {length} bytes; at most {LONGEST} are accepted");
        let mut header = vec![0; length];
        file.read_exact(&mut header).with_context(|| format!("{at}: truncated header"))?;
        let header = String::from_utf8_lossy(&header);
        let kind: String =
            after(&header, "descr").unwrap_or_default().chars().skip(1).take_while(|c| !"'\"".contains(*c)).collect();
        let dtype = ElementType::parse(&kind)
            .with_context(|| format!("{at}: elements of type {kind:?}; integers such as |u1, <i4 and <i8 are accepted"))?;
        ensure!(
            after(&header, "fortran_order").is_some_and(|v| v.starts_with("False")),
            "{at}: Fortran order; C order is accepted"
        );
        let sizes = after(&header, "shape").and_then(|v| v.strip_prefix('(')?.split_once(')')).map(|(inside, _)| inside);
        let sizes = sizes.with_context(|| format!("{at}: the header has no shape"))?;
        let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape: Vec<usize> = sizes
            .map(|size| size.parse().with_context(|| format!("{at}: {size:?} in the shape is not a number")))
            .collect::<Result<_>>()?;
        ensure!(!shape.is_empty(), "{at}: a single number; expected an array");
        let start = (8 + width + length) as u64;
        let row_bytes = shape[1..].iter().try_fold(dtype.bytes, |bytes: usize, &size| bytes.checked_mul(size));
        let wanted = row_bytes.and_then(|row| (row as u64).checked_mul(shape[0] as u64));
        let found = file.seek(SeekFrom::End(0)).with_context(|| format!("{at}: not readable"))?.saturating_sub(start);
        let (Some(row_bytes), true) = (row_bytes, wanted == Some(found)) else {
            bail!("{at}: {found} bytes of data do not match the shape {shape:?}: truncated or damaged")
        };
        Ok(Self { file: Mutex::new(file), path: path.to_path_buf(), shape, dtype, row_bytes, start })
    }

    /// The shape; the first size is the number of rows.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The element type as NumPy writes it; `|u1` is a byte.
    pub fn dtype(&self) -> &str {
        &self.dtype.name
    }

    /// The number of bytes in a row.
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// Reads the bytes of row `index` into `out`.
    ///
    /// # Errors
    /// If there is no such row, `out` is not [`row_bytes`](Self::row_bytes) long, or the file has been truncated.
    pub fn read_row(&self, index: usize, out: &mut [u8]) -> Result<()> {
        ensure!(index < self.shape[0], "{}: row {index} of {}", self.path.display(), self.shape[0]);
        ensure!(out.len() == self.row_bytes, "{} bytes for a row of {}", out.len(), self.row_bytes);
        let Ok(mut file) = self.file.lock() else { bail!("{}: another reader failed", self.path.display()) };
        let at = self.start + index as u64 * self.row_bytes as u64;
        file.seek(SeekFrom::Start(at))
            .and_then(|_| file.read_exact(out))
            .with_context(|| format!("{}: row {index} is not readable", self.path.display()))
    }

    /// Reads a whole one-dimensional array, such as labels.
    ///
    /// # Errors
    /// If the array does not have one dimension, or an element is negative or larger than 2³¹ − 1.
    pub fn numbers(&self) -> Result<Vec<usize>> {
        ensure!(self.shape.len() == 1, "{}: shape {:?}; expected one dimension", self.path.display(), self.shape);
        let mut bytes = vec![0; self.dtype.bytes];
        let read = |index| -> Result<usize> {
            self.read_row(index, &mut bytes)?;
            let value = self.dtype.number(&bytes);
            let within = usize::try_from(value).ok().filter(|&value| value <= u32::MAX as usize >> 1);
            within.with_context(|| format!("{}: element {index} is {value}; expected a label of 0 or more", self.path.display()))
        };
        (0..self.shape[0]).map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::npy::NpyWriter;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut writer = NpyWriter::create(&path, &[2]).unwrap();
        writer.write(&[1, 2, 3, 4, 5, 6]).unwrap();
        writer.finish().unwrap();
        let file = NpyFile::open(&path).unwrap();
        let mut row = [0; 2];
        file.read_row(2, &mut row).unwrap();
        assert_eq!((file.shape(), row), ([3, 2].as_slice(), [5, 6]));
        assert!(file.read_row(3, &mut row).is_err());
        let good = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8], word: &str| {
            std::fs::write(&path, bytes).unwrap();
            let error = format!("{:#}", NpyFile::open(&path).err().unwrap());
            assert!(error.contains(word) && error.contains("a.npy"), "{error}");
        };
        for length in 0..good.len() {
            refused(&good[..length], "a.npy");
        }
        refused(&good[..good.len() - 1], "truncated");
        let changed = |from: &str, to: &str| {
            let text: Vec<char> = good.iter().map(|&b| char::from(b)).collect();
            let text: String = text.into_iter().collect::<String>().replace(from, to);
            text.chars().map(|c| c as u8).collect::<Vec<u8>>()
        };
        refused(&changed("|u1", "<f8"), "<f8");
        refused(&changed("False", "True "), "Fortran");
        refused(&changed("(3, 2,)", "(3, 9,)"), "[3, 9]");
        refused(&changed("(3, 2,)", "(3, x,)"), "x");
    }

    #[test]
    fn a_file_without_rows_cannot_have_rows_of_any_size() {
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (0, 99999999999, 99999999999), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        let read = NpyFile::read(std::io::Cursor::new(bytes), Path::new("a.npy"));
        assert!(read.err().unwrap().to_string().contains("a.npy"));
    }

    #[test]
    fn labels_of_every_whole_type_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.npy");
        let numbers = |kind: &str, values: [&[u8]; 2]| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2,), }}\n");
            let length = (header.len() as u16).to_le_bytes();
            std::fs::write(&path, [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), values[0], values[1]].concat())
                .unwrap();
            NpyFile::open(&path).and_then(|file| file.numbers()).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(numbers("<i8", [&7i64.to_le_bytes(), &3i64.to_le_bytes()]), Ok(vec![7, 3]));
        assert_eq!(numbers(">i4", [&7i32.to_be_bytes(), &300i32.to_be_bytes()]), Ok(vec![7, 300]));
        assert_eq!(numbers("<u2", [&7u16.to_le_bytes(), &40_000u16.to_le_bytes()]), Ok(vec![7, 40_000]));
        assert_eq!(numbers("|i1", [&[7], &[3]]), Ok(vec![7, 3]));
        let negative = numbers("<i2", [&7i16.to_le_bytes(), &(-2i16).to_le_bytes()]).unwrap_err();
        assert!(negative.contains("labels.npy: element 1 is -2"), "{negative}");
        let large = numbers("<u8", [&u64::MAX.to_le_bytes(), &[0; 8]]).unwrap_err();
        assert!(large.contains("element 0 is 18446744073709551615"), "{large}");
        assert!(numbers("|b1", [&[0], &[1]]).unwrap_err().contains("|b1"));
    }
}

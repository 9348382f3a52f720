//! Writing as a stream: memory does not grow with the array.

use anyhow::{Context, Result, ensure};
use sncn_train::files;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes of the magic number, version, length and padded header together.
const HEADER: usize = 128;

/// Writes one array of unsigned integers, of shape (rows, …), under a temporary name; [`NpyWriter::finish`] writes the header and renames it.
pub(crate) struct NpyWriter {
    file: BufWriter<File>,
    path: PathBuf,
    temporary: PathBuf,
    row: Vec<usize>,
    /// Bytes of an element: 1, 2 or 4.
    element: usize,
    bytes: usize,
    finished: bool,
}

impl NpyWriter {
    /// Creates the file of an array of bytes whose rows have shape `row`.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn create(path: &Path, row: &[usize]) -> Result<Self> {
        Self::with_element(path, row, 1)
    }

    /// Creates the file of the labels of so many classes, in the smallest type that holds them.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub(crate) fn of_labels(path: &Path, classes: usize) -> Result<Self> {
        Self::with_element(
            path,
            &[],
            if classes <= 1 << 8 {
                1
            } else if classes <= 1 << 16 {
                2
            } else {
                4
            },
        )
    }

    fn with_element(path: &Path, row: &[usize], element: usize) -> Result<Self> {
        let temporary = path.with_file_name(files::temporary());
        let file = File::create(&temporary).with_context(|| format!("{}: cannot be written", path.display()))?;
        let mut file = BufWriter::new(file);
        file.write_all(&[0; HEADER])?;
        Ok(Self { file, path: path.to_path_buf(), temporary, row: row.to_vec(), element, bytes: 0, finished: false })
    }

    /// Appends bytes; any number of rows, whole or not.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write(&mut self, values: &[u8]) -> Result<()> {
        self.file
            .write_all(values)
            .with_context(|| format!("{}: cannot be written; free space and run again", self.path.display()))?;
        self.bytes += values.len();
        Ok(())
    }

    /// Appends a label.
    ///
    /// # Errors
    /// If the file cannot be written, or its type does not hold the label.
    pub(crate) fn write_label(&mut self, label: usize) -> Result<()> {
        let bytes = (label as u64).to_le_bytes();
        ensure!(bytes[self.element..].iter().all(|&byte| byte == 0), "{}: label {label} does not fit", self.path.display());
        self.write(&bytes[..self.element])
    }

    /// Writes the header, syncs and renames the file.
    ///
    /// # Errors
    /// If the file cannot be written, or the number of bytes is not a whole number of rows.
    pub(crate) fn finish(mut self) -> Result<()> {
        let row = self.element * self.row.iter().product::<usize>();
        ensure!(row > 0 && self.bytes.is_multiple_of(row), "{}: {} bytes are not rows of {row}", self.path.display(), self.bytes);
        let shape: String = self.row.iter().map(|size| format!(" {size},")).collect();
        let dtype = match self.element {
            1 => "|u1",
            2 => "<u2",
            _ => "<u4",
        };
        let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({},{shape}), }}", self.bytes / row);
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend(((HEADER - 10) as u16).to_le_bytes());
        header.extend(text.as_bytes());
        header.resize(HEADER - 1, b' ');
        header.push(b'\n');
        let mut write = || -> std::io::Result<()> {
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&header)?;
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            std::fs::rename(&self.temporary, &self.path)
        };
        write().with_context(|| format!("{}: cannot be written; free space and run again", self.path.display()))?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for NpyWriter {
    fn drop(&mut self) {
        if !self.finished {
            // nothing half-written is left behind; a failed removal does no harm
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_numpy_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut writer = NpyWriter::create(&path, &[2, 3]).unwrap();
        writer.write(&[1; 12]).unwrap();
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 128 + 12);
        let text = String::from_utf8_lossy(&bytes[10..128]).into_owned();
        assert!(text.starts_with("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3,), }"), "{text}");
        drop(NpyWriter::create(&folder.path().join("b.npy"), &[1]).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn labels_are_kept_whatever_the_number_of_classes() {
        let folder = tempfile::tempdir().unwrap();
        for (classes, dtype, size) in [(256, "|u1", 1), (257, "<u2", 2), (70_000, "<u4", 4)] {
            let path = folder.path().join("labels.npy");
            let mut writer = NpyWriter::of_labels(&path, classes).unwrap();
            writer.write_label(0).unwrap();
            writer.write_label(classes - 1).unwrap();
            assert!(writer.write_label(1 << 40).is_err());
            writer.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                String::from_utf8_lossy(&bytes).contains(&format!("'{dtype}', 'fortran_order': False, 'shape': (2,)")),
                "{dtype}"
            );
            assert_eq!(bytes[128 + size..], ((classes - 1) as u64).to_le_bytes()[..size]);
        }
    }
}

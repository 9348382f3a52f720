//! Unpacking of archives into a temporary folder, with a list of the files; no file is written outside that folder.

use crate::manifest::Packing;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, Write};
use std::path::{Component, Path, PathBuf};
use tar::EntryType;
use zip::ZipArchive;

/// A file from an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Unpacked {
    /// Its path below the folder, with `/`.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) bytes: u64,
    /// Its SHA-256.
    pub(crate) sha256: String,
}

/// Unpacks an archive into `folder`; a file that is not packed is copied to `<folder>/<layout>/`.
///
/// # Errors
/// If the archive is damaged, has a link or a path outside the folder, or a file cannot be written.
pub(crate) fn unpack(file: &Path, packing: Packing, folder: &Path, layout: &str) -> Result<Vec<Unpacked>> {
    let at = || format!("{}: cannot be unpacked", file.display());
    let reader = BufReader::new(File::open(file).with_context(at)?);
    let found = match packing {
        Packing::TarGz => archive(MultiGzDecoder::new(reader), folder),
        Packing::Tar => archive(reader, folder),
        Packing::Zip => zipped(reader, folder, layout),
        Packing::None => {
            let name = file.file_name().map(PathBuf::from).unwrap_or_default();
            write(reader, &Path::new(layout).join(name), folder).map(|file| vec![file])
        }
    };
    found.with_context(at)
}

fn archive(reader: impl Read, folder: &Path) -> Result<Vec<Unpacked>> {
    let mut archive = tar::Archive::new(reader);
    let mut found = Vec::new();
    for entry in archive.entries().context("not a tar archive")? {
        let entry = entry.context("damaged or cut short")?;
        let path = entry.path().context("a path that is not UTF-8")?.into_owned();
        let size = entry.header().size().context("damaged")?;
        match entry.header().entry_type() {
            EntryType::Directory => {
                let path = folder.join(inside(&path)?);
                fs::create_dir_all(&path).with_context(|| format!("{}: cannot be made", path.display()))?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let file = write(entry, &inside(&path)?, folder)?;
                ensure!(file.bytes == size, "{}: {} of {size} bytes: cut short", file.path, file.bytes);
                found.push(file);
            }
            EntryType::XGlobalHeader => {}
            kind => bail!("{}: of kind {kind:?}; files and folders are accepted", path.display()),
        }
    }
    ensure!(!found.is_empty(), "it holds no file");
    Ok(found)
}

fn zipped(reader: impl Read + Seek, folder: &Path, layout: &str) -> Result<Vec<Unpacked>> {
    let mut archive = ZipArchive::new(reader).context("not a zip archive, or cut short")?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).context("damaged or cut short")?;
        if entry.is_dir() {
            continue;
        }
        let path = inside(Path::new(entry.name().context("a name that is not UTF-8")?.as_ref()))?;
        ensure!(!entry.is_symlink(), "{}: a link; files and folders are accepted", path.display());
        let path = if path.starts_with(layout) { path } else { Path::new(layout).join(path) };
        found.push(write(entry, &path, folder)?);
    }
    ensure!(!found.is_empty(), "it holds no file");
    Ok(found)
}

/// Checks that a path stays inside the folder.
fn inside(path: &Path) -> Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => bail!("the path {:?} leads out of the folder: refused, the archive is hostile or damaged", path.display()),
        }
    }
    Ok(plain)
}

fn write(mut from: impl Read, path: &Path, folder: &Path) -> Result<Unpacked> {
    let target = folder.join(path);
    let at = || format!("{}: cannot be written; is there space?", target.display());
    fs::create_dir_all(target.parent().unwrap_or(folder)).with_context(at)?;
    let mut to = File::create(&target).with_context(at)?;
    let (mut sha, mut buffer, mut bytes) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        let count = from.read(&mut buffer).with_context(|| format!("{}: damaged or cut short", path.display()))?;
        if count == 0 {
            break;
        }
        sha.update(&buffer[..count]);
        to.write_all(&buffer[..count]).with_context(at)?;
        bytes += count as u64;
    }
    to.sync_all().with_context(at)?;
    let names: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    Ok(Unpacked { path: names.join("/"), bytes, sha256: crate::fetch::hexadecimal(&sha.finalize()) })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tar archive of these files; paths are not checked, so they may be hostile.
    pub(crate) fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// Gzipped.
    pub(crate) fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A zip archive of these files.
    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, bytes) in files {
            writer.start_file(*path, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn unpacked(bytes: &[u8], packing: Packing) -> (tempfile::TempDir, Result<Vec<Unpacked>>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.tar");
        fs::write(&file, bytes).unwrap();
        let found = unpack(&file, packing, &folder.path().join("out"), "set");
        (folder, found)
    }

    #[test]
    fn files_come_out_with_their_checksums() -> Result<()> {
        let bytes = tarred(&[("./set/a.bin", b"hello"), ("set/deep/b.bin", b"")]);
        for (bytes, packing) in [(bytes.clone(), Packing::Tar), (gzipped(&bytes), Packing::TarGz)] {
            let (folder, found) = unpacked(&bytes, packing);
            let found = found?;
            assert_eq!((found[0].path.as_str(), found[0].bytes, found[1].path.as_str()), ("set/a.bin", 5, "set/deep/b.bin"));
            assert!(found[0].sha256.starts_with("2cf24dba5fb0a30e"), "{found:?}");
            assert_eq!(fs::read(folder.path().join("out/set/a.bin"))?, b"hello");
        }
        let (folder, found) = unpacked(b"plain", Packing::None);
        assert_eq!(found?[0].path, "set/a.tar");
        assert_eq!(fs::read(folder.path().join("out/set/a.tar"))?, b"plain");
        Ok(())
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        for path in ["../evil", "/evil", "set/../../evil"] {
            let (folder, found) = unpacked(&tarred(&[(path, b"x")]), Packing::Tar);
            assert!(format!("{:#}", found.unwrap_err()).contains("leads out of the folder"), "{path}");
            assert!(!folder.path().join("evil").exists());
        }
        let (folder, found) = unpacked(&zipped(&[("../evil", b"x")]), Packing::Zip);
        assert!(format!("{:#}", found.unwrap_err()).contains("leads out of the folder"));
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn what_a_zip_archive_holds_outside_the_folder_goes_there() -> Result<()> {
        let bytes = zipped(&[("set/a.txt", b"hello"), ("b.txt", &[7; 5000])]);
        let (folder, found) = unpacked(&bytes, Packing::Zip);
        let found = found?;
        assert_eq!((found[0].path.as_str(), found[1].path.as_str(), found[1].bytes), ("set/a.txt", "set/b.txt", 5000));
        assert_eq!(fs::read(folder.path().join("out/set/b.txt"))?, [7; 5000]);
        let (_folder, found) = unpacked(&bytes[..bytes.len() / 2], Packing::Zip);
        assert!(format!("{:#}", found.unwrap_err()).contains("cut short"));
        Ok(())
    }

    #[test]
    fn a_link_is_refused() {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, "set/link", "/etc").unwrap();
        let (_folder, found) = unpacked(&builder.into_inner().unwrap(), Packing::Tar);
        assert!(format!("{:#}", found.unwrap_err()).contains("Symlink"));
    }

    #[test]
    fn an_archive_that_was_cut_short_is_refused() {
        let bytes = tarred(&[("set/a.bin", &[7; 4000])]);
        for (bytes, packing) in [(bytes[..2000].to_vec(), Packing::Tar), (gzipped(&bytes)[..40].to_vec(), Packing::TarGz)] {
            let (_folder, found) = unpacked(&bytes, packing);
            let error = format!("{:#}", found.unwrap_err());
            assert!(error.contains("cut short"), "{error}");
        }
    }
}

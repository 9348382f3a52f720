//! `Manifest`: the description of a data set in `data/<name>.json`.
//!
//! The files are downloaded, verified and unpacked into the folder `layout` of the data folder.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The folder of the manifests.
pub(crate) const FOLDER: &str = "data";

/// A data set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// Its name, which is also the name of the file.
    pub(crate) name: String,
    /// A description.
    pub(crate) description: String,
    /// The terms of use.
    pub(crate) licence: String,
    /// The publisher's page.
    pub(crate) homepage: String,
    /// The folder that its archives contain and that it is unpacked to.
    pub(crate) layout: String,
    /// The files to download.
    #[serde(default)]
    pub(crate) files: Vec<Remote>,
    /// Instead of files: instructions for users if the publisher requires a login or an agreement.
    #[serde(default)]
    pub(crate) by_hand: Option<String>,
}

/// A file to download.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remote {
    /// The address.
    pub(crate) url: String,
    /// Its size in bytes.
    #[serde(default)]
    pub(crate) bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
    /// Its MD5 in hexadecimal, if the publisher gives no SHA-256.
    #[serde(default)]
    pub(crate) md5: Option<String>,
    /// How it is packed.
    pub(crate) unpack: Packing,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) enum Packing {
    /// A gzipped tar archive.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// A tar archive.
    #[serde(rename = "tar")]
    Tar,
    /// A zip archive; files outside the folder `layout` are moved into it.
    #[serde(rename = "zip")]
    Zip,
    /// Not packed: copied into the folder.
    #[serde(rename = "none")]
    None,
}

/// The expected checksum of a file.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Checksum {
    /// SHA-256.
    Sha256(String),
    /// MD5.
    Md5(String),
}

/// The manifest file of a data set.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.json"))
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// If the file cannot be read or a key does not fit; the error names file and key.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let at = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(|| format!("{}: not readable", at()))?;
        let manifest: Self = serde_json::from_str(&text).with_context(at)?;
        manifest.check().with_context(at)?;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        ensure!(manifest.name == stem, "{}: name is {:?}; that of the file, {stem:?}, is accepted", at(), manifest.name);
        Ok(manifest)
    }

    /// Reads the named manifests of a folder, or all of them without names.
    ///
    /// # Errors
    /// If a name is unknown (the error lists the known ones) or a manifest does not fit.
    pub(crate) fn named(folder: &Path, names: &[String]) -> Result<Vec<Self>> {
        let known = crate::files::names(folder, "json");
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            bail!("unknown data set {name:?}; in {}/ are: {}", folder.display(), known.join(", "))
        }
        let names = if names.is_empty() { &known } else { names };
        names.iter().map(|name| Self::read(&folder.join(format!("{name}.json")))).collect()
    }

    fn check(&self) -> Result<()> {
        let plain = Path::new(&self.layout).components().all(|part| matches!(part, Component::Normal(_)));
        let one = Path::new(&self.layout).components().count() == 1;
        ensure!(plain && one, "layout is {:?}; the name of one folder is accepted", self.layout);
        match &self.by_hand {
            None => ensure!(!self.files.is_empty(), "files is empty; expected at least one file, or by_hand with instructions"),
            Some(_) => ensure!(self.files.is_empty(), "files and by_hand: expected one of them"),
        }
        self.files.iter().try_for_each(|file| file.check().with_context(|| format!("file {}", file.url)))
    }
}

impl Remote {
    fn check(&self) -> Result<()> {
        self.checksum()?;
        self.name().map(|_| ())
    }

    /// The expected checksum.
    ///
    /// # Errors
    /// If there is not exactly one, or it is not a hexadecimal number of the right length.
    pub(crate) fn checksum(&self) -> Result<Checksum> {
        let (text, digits, sum) = match (&self.sha256, &self.md5) {
            (Some(text), None) => (text, 64, Checksum::Sha256(text.to_lowercase())),
            (None, Some(text)) => (text, 32, Checksum::Md5(text.to_lowercase())),
            _ => bail!("expected one checksum: sha256, or md5 if the publisher gives no other"),
        };
        let hexadecimal = text.len() == digits && text.chars().all(|c| c.is_ascii_hexdigit());
        ensure!(hexadecimal, "the checksum {text:?} does not have {digits} hexadecimal digits");
        Ok(sum)
    }

    /// The name of the file: the last segment of its address; an address without one is an error.
    pub(crate) fn name(&self) -> Result<&str> {
        let address = self.url.split(['?', '#']).next().unwrap_or_default();
        let Some((_, path)) = address.split_once("://") else { bail!("the address has no scheme; https://… is accepted") };
        match path.rsplit_once('/').map(|(_, name)| name) {
            Some(name) if !name.is_empty() && name != "." && name != ".." => Ok(name),
            _ => bail!("the address names no file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str) -> Remote {
        Remote { url: url.into(), bytes: None, sha256: None, md5: None, unpack: Packing::Tar }
    }

    #[test]
    fn the_manifests_of_the_tree_fit() -> Result<()> {
        let all = Manifest::named(&Path::new("..").join(FOLDER), &[])?;
        assert!(all.iter().any(|manifest| manifest.name == "cifar10"));
        Ok(())
    }

    #[test]
    fn a_set_is_downloaded_or_got_by_hand() {
        let check = |rest: &str| {
            let text = format!(r#"{{"name":"a","description":"","licence":"","homepage":"","layout":"a"{rest}}}"#);
            serde_json::from_str::<Manifest>(&text).unwrap().check().map_err(|error| error.to_string())
        };
        let files = r#","files":[{"url":"https://a.org/b","md5":"00000000000000000000000000000000","unpack":"tar"}]"#;
        let by_hand = r#","by_hand":"ask""#;
        assert_eq!((check(files), check(by_hand)), (Ok(()), Ok(())));
        assert!(check("").unwrap_err().contains("files is empty"));
        assert!(check(&format!("{files}{by_hand}")).unwrap_err().contains("one of them"));
    }

    #[test]
    fn names_come_from_addresses() -> Result<()> {
        assert_eq!(remote("https://a.org/files/C.tar?download=1").name()?, "C.tar");
        assert!(remote("https://a.org/..").name().is_err() && remote("C.tar").name().is_err());
        Ok(())
    }

    #[test]
    fn exactly_one_checksum_of_the_right_length_is_wanted() -> Result<()> {
        let with = |sha256: Option<&str>, md5: Option<&str>| {
            Remote { sha256: sha256.map(str::to_string), md5: md5.map(str::to_string), ..remote("https://a.org/b") }.checksum()
        };
        assert_eq!(with(None, Some(&"A".repeat(32)))?, Checksum::Md5("a".repeat(32)));
        assert_eq!(with(Some(&"0".repeat(64)), None)?, Checksum::Sha256("0".repeat(64)));
        assert!(with(None, None).is_err() && with(Some("12"), None).is_err());
        assert!(with(Some(&"0".repeat(64)), Some(&"0".repeat(32))).is_err());
        Ok(())
    }

    #[test]
    fn an_unknown_data_set_and_an_unsafe_folder_are_refused() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let error = |name: &str| format!("{:#}", Manifest::named(folder.path(), &[name.to_string()]).unwrap_err());
        let text = |layout: &str| {
            format!(r#"{{"name":"a","description":"","licence":"","homepage":"","layout":"{layout}","files":[]}}"#)
        };
        fs::write(folder.path().join("a.json"), text("../up"))?;
        assert!(error("b").contains("unknown data set \"b\"") && error("b").ends_with("are: a"), "{}", error("b"));
        assert!(error("a").contains("layout is \"../up\""), "{}", error("a"));
        fs::write(folder.path().join("a.json"), text("up"))?;
        assert!(error("a").contains("files is empty"), "{}", error("a"));
        Ok(())
    }
}

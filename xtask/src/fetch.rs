//! Downloads: into `<file>.part`, resumed if the server supports it, and renamed after the checksum has been verified.

use crate::manifest::{Checksum, Remote};
use anyhow::{Context, Result, anyhow, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use md5::Md5;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// The retries and timeouts of a download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// The number of consecutive failures without a received byte that end the download.
    pub(crate) attempts: u32,
    /// The wait after the first failure; it doubles with each failure.
    pub(crate) wait: Duration,
    /// The longest wait for data from the server.
    pub(crate) silence: Duration,
}

/// The retries and timeouts of the command.
pub(crate) const PATIENCE: Patience = Patience { attempts: 5, wait: Duration::from_secs(1), silence: Duration::from_secs(60) };

/// Why an attempt failed.
enum Failure {
    /// Another attempt may succeed.
    Passing(anyhow::Error),
    /// Another attempt cannot succeed.
    Final(anyhow::Error),
}

/// Downloads a file to `target`; resumes from `<target>.part` if it exists.
///
/// # Errors
/// If the server refuses, the connection keeps dropping, a file cannot be written, or the checksum is wrong; then the partial file
/// is deleted.
pub(crate) fn download(remote: &Remote, target: &Path, patience: Patience) -> Result<()> {
    let sum = remote.checksum()?;
    let part = part(target);
    let bar = progress(remote.bytes, remote.name()?);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(patience.silence))
        .timeout_recv_response(Some(patience.silence))
        .timeout_per_read(Some(patience.silence))
        .user_agent(concat!("sncn-xtask/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let (mut failures, mut most) = (0, size(&part));
    loop {
        let error = match attempt(&agent, remote, &part, &bar) {
            Ok(()) => break,
            Err(Failure::Final(error)) => return Err(error.context(remote.url.clone())),
            Err(Failure::Passing(error)) => error,
        };
        failures = if size(&part) > most { 1 } else { failures + 1 };
        most = most.max(size(&part));
        if failures >= patience.attempts {
            let kept = size(&part);
            let advice =
                format!("{}: given up after {failures} attempts; {kept} bytes are kept, fetch again to go on", remote.url);
            return Err(error.context(advice));
        }
        std::thread::sleep(patience.wait * 2u32.pow(failures - 1));
    }
    bar.finish_and_clear();
    let found = checksum(&part, &sum)?;
    if found != sum {
        fs::remove_file(&part).with_context(|| format!("{}: a damaged download that cannot be deleted", part.display()))?;
        bail!(
            "{}: wrong checksum: expected {}, found {}; the download was deleted: fetch it again, or correct the manifest",
            remote.url,
            shown(&sum),
            shown(&found)
        )
    }
    let finish = || -> std::io::Result<()> {
        File::options().write(true).open(&part)?.sync_all()?;
        fs::rename(&part, target)
    };
    finish().with_context(|| format!("{}: cannot be renamed to {}", part.display(), target.display()))
}

/// The path of an unfinished download.
pub(crate) fn part(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_os_string();
    name.push(".part");
    PathBuf::from(name)
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// One request, for the whole file or the missing rest.
fn attempt(agent: &ureq::Agent, remote: &Remote, part: &Path, bar: &ProgressBar) -> Result<(), Failure> {
    let have = size(part);
    if have > 0 && Some(have) == remote.bytes {
        return Ok(());
    }
    let mut request = agent.get(&remote.url).header("Accept-Encoding", "identity");
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| Failure::Passing(error.into()))?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
    let range = header("content-range").as_deref().and_then(content_range);
    let length = header("content-length").and_then(|text| text.parse::<u64>().ok());
    let (start, total) = match response.status().as_u16() {
        200 => (0, length),
        206 if range.and_then(|(start, _)| start) == Some(have) => (have, range.and_then(|(_, total)| total)),
        // the partial file is already complete, or belongs to another file
        416 if range.and_then(|(_, total)| total) == Some(have) => return Ok(()),
        206 | 416 => {
            fs::remove_file(part).map_err(|error| Failure::Final(error.into()))?;
            return Err(Failure::Passing(anyhow!("the server has no such range; starting again")));
        }
        status @ (408 | 429 | 500..) => return Err(Failure::Passing(anyhow!("the server answers with status {status}"))),
        status => {
            let advice = "is the address in the manifest still right?";
            return Err(Failure::Final(anyhow!("the server answers with status {status}; {advice}")));
        }
    };
    if let (Some(total), Some(bytes)) = (total, remote.bytes)
        && total != bytes
    {
        let text = "the server's file is not the one of the manifest";
        return Err(Failure::Final(anyhow!("{text}: expected {bytes} bytes, found {total}; correct the manifest")));
    }
    if let Some(total) = total {
        bar.set_length(total);
    }
    bar.set_position(start);
    bar.reset_eta();
    let limit = total.or(remote.bytes);
    receive(response.into_body().into_reader(), part, start, limit, bar)
}

/// Writes the body after the first `start` bytes of the partial file; `total` is the size of the whole file, if known.
fn receive(mut body: impl Read, part: &Path, start: u64, total: Option<u64>, bar: &ProgressBar) -> Result<(), Failure> {
    let disk = |error: std::io::Error| {
        Failure::Final(anyhow!("{}: cannot be written ({error}); free space, then fetch again to go on", part.display()))
    };
    let mut file = OpenOptions::new().create(true).append(start > 0).write(true).truncate(start == 0).open(part).map_err(disk)?;
    let (mut done, mut buffer) = (start, vec![0; CHUNK]);
    loop {
        let count = body.read(&mut buffer).map_err(|error| Failure::Passing(anyhow!("the connection dropped ({error})")))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).map_err(disk)?;
        done += count as u64;
        bar.set_position(done);
        if total.is_some_and(|total| done > total) {
            drop(file);
            fs::remove_file(part).map_err(disk)?;
            return Err(Failure::Final(anyhow!("the server sends more than the {} bytes expected", total.unwrap_or_default())));
        }
    }
    match total {
        Some(total) if done < total => Err(Failure::Passing(anyhow!("the connection dropped after {done} of {total} bytes"))),
        _ => Ok(()),
    }
}

/// Start and total of `bytes 5-9/10` or `bytes */10`.
fn content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-').and_then(|(start, _)| start.parse().ok()), total.parse().ok()))
}

/// The checksum of a file, with the algorithm of `like`.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn checksum(path: &Path, like: &Checksum) -> Result<Checksum> {
    Ok(match like {
        Checksum::Sha256(_) => Checksum::Sha256(digest::<Sha256>(path)?),
        Checksum::Md5(_) => Checksum::Md5(digest::<Md5>(path)?),
    })
}

fn digest<D: Digest>(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("{}: not readable", path.display()))?;
    let (mut digest, mut buffer) = (D::new(), vec![0; CHUNK]);
    loop {
        let count = file.read(&mut buffer).with_context(|| format!("{}: not readable", path.display()))?;
        if count == 0 {
            return Ok(hexadecimal(&digest.finalize()));
        }
        digest.update(&buffer[..count]);
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(sum: &Checksum) -> String {
    match sum {
        Checksum::Sha256(text) => format!("sha256 {text}"),
        Checksum::Md5(text) => format!("md5 {text}"),
    }
}

/// A progress bar with rate and time left; hidden if the output is not a terminal.
fn progress(total: Option<u64>, what: &str) -> ProgressBar {
    let bar = ProgressBar::no_length();
    if let Some(total) = total {
        bar.set_length(total);
    }
    let template = "{msg:28} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what.to_string());
    bar
}

/// Checks that an existing file has the checksum of the manifest.
///
/// # Errors
/// If the file cannot be read or has another checksum.
pub(crate) fn check(remote: &Remote, path: &Path) -> Result<()> {
    let sum = remote.checksum()?;
    let found = checksum(path, &sum)?;
    ensure!(found == sum, "{}: expected {}, found {}", path.display(), shown(&sum), shown(&found));
    Ok(())
}

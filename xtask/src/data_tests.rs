//! Tests of `data` and `fetch` against a server on this machine.

use super::*;
use crate::unpack::tests::{gzipped, tarred};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tiny_http::{Header, Response, Server};

const FAST: Patience = Patience { attempts: 3, wait: Duration::from_millis(1), silence: Duration::from_secs(5) };

/// How the server behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Answers ranges.
    Ranges,
    /// Sends everything, always.
    Whole,
    /// Refuses with this status.
    Status(u16),
}

/// A server of one file; returns its address and the `Range` headers it was sent ("" for none).
fn serve(bytes: Vec<u8>, manner: Manner) -> (String, Arc<Mutex<Vec<String>>>) {
    let server = Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.server_addr());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let range =
                request.headers().iter().find(|h| h.field.equiv("Range")).map(|h| h.value.to_string()).unwrap_or_default();
            log.lock().unwrap().push(range.clone());
            let start = range.strip_prefix("bytes=").and_then(|r| r.trim_end_matches('-').parse::<usize>().ok());
            let _ = match (manner, start) {
                (Manner::Status(code), _) => request.respond(Response::from_string("no").with_status_code(code)),
                (Manner::Ranges, Some(start)) if start >= bytes.len() => {
                    let header = Header::from_bytes("Content-Range", format!("bytes */{}", bytes.len())).unwrap();
                    request.respond(Response::from_string("").with_status_code(416).with_header(header))
                }
                (Manner::Ranges, Some(start)) => {
                    let text = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                    let header = Header::from_bytes("Content-Range", text).unwrap();
                    request.respond(Response::from_data(&bytes[start..]).with_status_code(206).with_header(header))
                }
                _ => request.respond(Response::from_data(bytes.clone())),
            };
        }
    });
    (address, asked)
}

/// A server that drops the first connections after half of what was asked for.
fn serve_dropping(bytes: Vec<u8>, drops: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && std::io::Read::read(&mut stream, &mut byte).unwrap_or(0) > 0 {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).to_lowercase();
            let start: usize =
                request.split_once("range: bytes=").and_then(|(_, rest)| rest.split('-').next()?.parse().ok()).unwrap_or(0);
            let rest = &bytes[start..];
            let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
            let range = format!("Content-Range: bytes {start}-{}/{}\r\n", bytes.len() - 1, bytes.len());
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{range}Connection: close\r\n\r\n", rest.len());
            let sent = if index < drops { &rest[..rest.len() / 2] } else { rest };
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(sent));
        }
    });
    address
}

struct Case {
    folder: tempfile::TempDir,
    manifest: Manifest,
}

fn case(address: &str, file: &str, packing: &str, sha256: &str) -> Case {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        r#"{{"name":"a","description":"d","licence":"l","homepage":"h","layout":"set",
        "files":[{{"url":"{address}/{file}?download=1","sha256":"{sha256}","unpack":"{packing}"}}]}}"#
    );
    fs::write(folder.path().join("a.json"), text).unwrap();
    let manifest = Manifest::read(&folder.path().join("a.json")).unwrap();
    Case { folder, manifest }
}

impl Case {
    fn store(&self) -> Store {
        Store { folder: self.folder.path().join("cache") }
    }

    fn fetch(&self) -> Result<String> {
        self.store().fetch(&self.manifest, FAST)
    }

    fn error(&self) -> String {
        format!("{:#}", self.fetch().unwrap_err())
    }

    fn part(&self) -> PathBuf {
        fetch::part(&self.folder.path().join("cache/.archives/a/a.tar.gz"))
    }

    fn leave_part(&self, bytes: &[u8]) {
        fs::create_dir_all(self.part().parent().unwrap()).unwrap();
        fs::write(self.part(), bytes).unwrap();
    }

    fn is_whole(&self) -> bool {
        let cache = self.folder.path().join("cache");
        let names: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names == ["set"] && self.store().verify(&self.manifest).is_empty()
    }
}

/// An archive that does not compress to nothing, with its checksum.
fn archive() -> (Vec<u8>, String) {
    let noise: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bytes = gzipped(&tarred(&[("set/a.bin", &noise), ("set/b.txt", b"hello")]));
    let sum = fetch::hexadecimal(&Sha256::digest(&bytes));
    (bytes, sum)
}

#[test]
fn a_set_is_fetched_once_and_verified() -> Result<()> {
    let (bytes, sum) = archive();
    let (address, asked) = serve(bytes, Manner::Ranges);
    let case = case(&address, "a.tar.gz", "tar.gz", &sum);
    assert!(case.fetch()?.starts_with("2 files, 300005 bytes"));
    assert!(case.is_whole());
    assert!(case.fetch()?.starts_with("up to date"));
    assert_eq!(*asked.lock().unwrap(), [""]);

    fs::write(case.folder.path().join("cache/set/b.txt"), "hellO")?;
    fs::remove_file(case.folder.path().join("cache/set/a.bin"))?;
    let problems = case.store().verify(&case.manifest);
    assert!(problems.len() == 2 && problems[0].ends_with("set/a.bin: missing"), "{problems:?}");
    assert!(problems[1].ends_with("set/b.txt: damaged (its checksum does not match)"), "{problems:?}");
    assert!(case.fetch()?.starts_with("2 files") && case.is_whole());
    Ok(())
}

#[test]
fn an_unfinished_download_goes_on() -> Result<()> {
    let (bytes, sum) = archive();
    let (address, asked) = serve(bytes.clone(), Manner::Ranges);
    let case = case(&address, "a.tar.gz", "tar.gz", &sum);
    case.leave_part(&bytes[..1000]);
    case.fetch()?;
    assert!(case.is_whole());
    assert_eq!(*asked.lock().unwrap(), ["bytes=1000-"]);
    Ok(())
}

#[test]
fn a_part_that_is_whole_is_only_checked_and_one_that_is_too_long_is_dropped() -> Result<()> {
    let (bytes, sum) = archive();
    for extra in [0, 10] {
        let (address, asked) = serve(bytes.clone(), Manner::Ranges);
        let case = case(&address, "a.tar.gz", "tar.gz", &sum);
        case.leave_part(&[bytes.as_slice(), &vec![0; extra]].concat());
        case.fetch()?;
        assert!(case.is_whole());
        assert_eq!(asked.lock().unwrap().len(), if extra == 0 { 1 } else { 2 });
    }
    Ok(())
}

#[test]
fn a_server_without_ranges_sends_all_again() -> Result<()> {
    let (bytes, sum) = archive();
    let (address, _) = serve(bytes, Manner::Whole);
    let case = case(&address, "a.tar.gz", "tar.gz", &sum);
    case.leave_part(b"something else");
    case.fetch()?;
    assert!(case.is_whole());
    Ok(())
}

#[test]
fn dropped_connections_are_resumed() -> Result<()> {
    let (bytes, sum) = archive();
    let case = case(&serve_dropping(bytes, 4), "a.tar.gz", "tar.gz", &sum);
    case.fetch()?;
    assert!(case.is_whole());
    Ok(())
}

#[test]
fn a_wrong_checksum_is_explained_and_the_download_deleted() {
    let (bytes, sum) = archive();
    let case = case(&serve(bytes, Manner::Ranges).0, "a.tar.gz", "tar.gz", &"0".repeat(64));
    let error = case.error();
    for part in ["a.tar.gz?download=1: wrong checksum: expected sha256 0000", &format!("found sha256 {sum}"), "fetch it again"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(!case.part().exists() && !case.folder.path().join("cache/set").exists());
}

#[test]
fn a_refusal_is_final_and_a_broken_server_is_not() {
    for (status, requests) in [(404, 1), (503, 3)] {
        let (address, asked) = serve(Vec::new(), Manner::Status(status));
        let case = case(&address, "a.tar.gz", "tar.gz", &"0".repeat(64));
        let error = case.error();
        assert!(error.contains(&format!("status {status}")) && error.contains(&address), "{error}");
        assert_eq!(asked.lock().unwrap().len(), requests);
    }
}

#[test]
fn a_set_that_is_got_by_hand_says_how() {
    let mut case = case("https://localhost", "a.tar.gz", "tar.gz", &"0".repeat(64));
    (case.manifest.files, case.manifest.by_hand) = (Vec::new(), Some("Ask them".into()));
    let error = case.error();
    assert!(error.contains("Ask them") && error.ends_with("see h"), "{error}");
}

#[test]
fn a_size_that_is_not_the_manifests_ends_it_before_the_download() {
    let (bytes, sum) = archive();
    let mut case = case(&serve(bytes, Manner::Ranges).0, "a.tar.gz", "tar.gz", &sum);
    case.manifest.files[0].bytes = Some(7);
    assert!(case.error().contains("expected 7 bytes"), "{}", case.error());
}

#[test]
fn hostile_truncated_and_misplaced_archives_leave_nothing() {
    let tar = tarred(&[("set/a.bin", &[7; 4000])]);
    let hostile = tarred(&[("set/a.bin", b"x"), ("../../evil", b"x")]);
    let elsewhere = tarred(&[("other/a.bin", b"x")]);
    for (bytes, what) in
        [(hostile, "leads out"), (tar[..2000].to_vec(), "cut short"), (elsewhere, "no folder \"set\" (they hold other/a.bin")]
    {
        let sum = fetch::hexadecimal(&Sha256::digest(&bytes));
        let case = case(&serve(bytes, Manner::Ranges).0, "a.tar", "tar", &sum);
        assert!(case.error().contains(what), "{}", case.error());
        let cache = case.folder.path().join("cache");
        assert!(!cache.join("set").exists() && !cache.join(".unpacking-a").exists() && !case.folder.path().join("evil").exists());
    }
}

#[test]
fn a_file_that_is_not_packed_is_placed_and_a_foreign_folder_left_alone() -> Result<()> {
    let sum = fetch::hexadecimal(&Sha256::digest(b"hello"));
    let case = case(&serve(b"hello".to_vec(), Manner::Ranges).0, "b.txt", "none", &sum);
    fs::create_dir_all(case.folder.path().join("cache/set"))?;
    assert!(case.fetch()?.contains("left alone"));
    assert!(case.store().verify(&case.manifest)[0].contains("nothing to check it by"));
    fs::remove_dir(case.folder.path().join("cache/set"))?;
    case.fetch()?;
    assert_eq!(fs::read(case.folder.path().join("cache/set/b.txt"))?, b"hello");
    Ok(())
}

//! `EventFile`: numbers by step in a file that TensorBoard reads.

use prost::Message;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds between two times that what is written reaches the file.
const BETWEEN: Duration = Duration::from_secs(5);
/// The version of the format.
const VERSION: &str = "brain.Event:2";
/// The status of a session that begins.
const START: i32 = 1;

/// A message of TensorFlow's `event.proto`, as far as numbers need it; the alternatives of its `what` are fields here, which is the same in
/// bytes.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session: Option<Session>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

#[derive(Clone, PartialEq, Message)]
struct Session {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// A file of events in a folder. TensorBoard reads all files of the folder as one.
pub struct EventFile {
    file: BufWriter<File>,
    path: PathBuf,
    flushed: Instant,
}

impl EventFile {
    /// Begins a new file in `folder`, which is made where it is missing. What earlier files of the folder have of steps after `step` is
    /// left out by TensorBoard.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let folder = std::env::temp_dir().join("sncn-events");
    /// let mut events = sncn_train::EventFile::create(&folder, 0)?;
    /// events.scalars(1, &[("train/loss", 2.3), ("train/learning_rate", 0.1)])?;
    /// events.flush()?;
    /// # std::fs::remove_dir_all(folder)
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn create(folder: &Path, step: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let seconds = UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        // as many as a process begins within a second
        let paths =
            (0u32..).map(|number| folder.join(format!("events.out.tfevents.{seconds}.sncn.{}.{number}", std::process::id())));
        let path = paths.into_iter().find(|path| !path.exists()).unwrap_or_default();
        let file = BufWriter::new(File::create_new(&path)?);
        let mut events = Self { file, path, flushed: Instant::now() };
        events.write(&Event { file_version: Some(VERSION.to_string()), ..at(0) })?;
        if step > 0 {
            events.write(&Event { session: Some(Session { status: START }), ..at(step + 1) })?;
        }
        events.flush()?;
        Ok(events)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the numbers of a step, each under its tag; what stands before a slash groups them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn scalars(&mut self, step: usize, scalars: &[(&str, f64)]) -> io::Result<()> {
        let scalar = |(tag, value): &(&str, f64)| Scalar { tag: tag.to_string(), simple_value: Some(*value as f32) };
        self.write(&Event { summary: Some(Summary { value: scalars.iter().map(scalar).collect() }), ..at(step) })?;
        if self.flushed.elapsed() >= BETWEEN { self.flush() } else { Ok(()) }
    }

    /// Brings everything to the file; what is left when it is dropped is too.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        self.file.flush()
    }

    /// A record: its length, a checksum of that, the message, and its checksum.
    fn write(&mut self, event: &Event) -> io::Result<()> {
        let message = event.encode_to_vec();
        let length = (message.len() as u64).to_le_bytes();
        for part in [&length[..], &checksum(&length), &message, &checksum(&message)] {
            self.file.write_all(part)?;
        }
        Ok(())
    }
}

/// An event of a step, now.
fn at(step: usize) -> Event {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Event { wall_time: now.as_secs_f64(), step: i64::try_from(step).unwrap_or(i64::MAX), ..Event::default() }
}

/// The checksum of a record: CRC-32C, rotated and shifted so that one of a checksum differs from it.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file, each with its checksums looked at.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (length, sum) = (&rest[..8], &rest[8..12]);
            let end = 12 + u64::from_le_bytes(length.try_into().unwrap()) as usize;
            assert!(checksum(length) == sum && checksum(&rest[12..end]) == rest[end..end + 4]);
            events.push(Event::decode(&rest[12..end]).unwrap());
            rest = &rest[end + 4..];
        }
        events
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // of 32 zero bytes the CRC-32C is 8a9136aa (RFC 3720)
        assert_eq!(checksum(&[0; 32]), (0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8)).to_le_bytes());
    }

    #[test]
    fn what_is_written_is_read_and_a_run_that_goes_on_says_from_where() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = EventFile::create(folder.path(), 0).unwrap();
        first.scalars(1, &[("train/loss", 0.5), ("validation/score", 0.25)]).unwrap();
        first.flush().unwrap();
        let events = read(first.path());
        assert_eq!(events.len(), 2);
        assert_eq!((events[0].file_version.as_deref(), events[1].step), (Some(VERSION), 1));
        let values: Vec<_> =
            events[1].summary.iter().flat_map(|all| &all.value).map(|one| (one.tag.as_str(), one.simple_value)).collect();
        assert_eq!(values, [("train/loss", Some(0.5)), ("validation/score", Some(0.25))]);
        let second = EventFile::create(folder.path(), 7).unwrap();
        assert_ne!(first.path(), second.path());
        let events = read(second.path());
        assert_eq!((events[1].step, events[1].session.as_ref().map(|session| session.status)), (8, Some(START)));
    }
}

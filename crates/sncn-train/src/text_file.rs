//! Files of text as people have them: the one place where bytes become characters.
//!
//! Gzip is unpacked whatever the file is named. UTF-8 with or without a byte order mark, UTF-16 with or without one, and, where the
//! bytes are not UTF-8, Windows-1252 (which Latin-1 is a part of) are decoded; what was not plain UTF-8 is told in a remark. Other
//! encodings, and files that are no text at all (archives, spreadsheets, web pages, Git LFS pointers), are refused by name.

use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};
use flate2::read::MultiGzDecoder;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

/// The most characters of a file that a message quotes.
const QUOTED: usize = 200;

/// Beginnings of files that are no text, what such a file is, and what to do.
const NO_TEXT: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a zip archive or a spreadsheet; unpack it, or export it as CSV"),
    (b"PAR1", "a Parquet file; convert it to CSV or JSON lines"),
    (b"ARROW1", "an Arrow file; convert it to CSV or JSON lines"),
    (b"Obj\x01", "an Avro file; convert it to CSV or JSON lines"),
    (b"SQLite format 3", "an SQLite data base; export the table as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old spreadsheet; export it as CSV"),
    (b"BZh", "packed by bzip2; unpack it, or pack it by gzip"),
    (b"\xfd7zXZ", "packed by xz; unpack it, or pack it by gzip"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd; unpack it, or pack it by gzip"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"%PDF", "a PDF; a file of text is wanted"),
    (b"\x89PNG", "a PNG image; a file of text is wanted"),
    (b"\xff\xd8\xff", "a JPEG image; a file of text is wanted"),
    (b"\x93NUMPY", "a NumPy array; a file of text is wanted"),
    (
        b"version https://git-lfs.github.com/spec/v1",
        "a Git LFS pointer in the place of the file; fetch the file with git lfs pull",
    ),
    (b"<!doctype html", "a web page in the place of the file; fetch the file again"),
    (b"<html", "a web page in the place of the file; fetch the file again"),
];

/// Why a file of text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    /// The file is missing or cannot be read.
    #[error("{}: not readable", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The content cannot be decoded.
    #[error("{}: {}", .0.display(), .1)]
    Content(PathBuf, String),
}

/// A decoded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// Its characters, without a byte order mark.
    pub text: String,
    /// What was not plain UTF-8, as a sentence for users.
    pub remark: Option<String>,
}

/// Reads a file, packed by gzip or not.
///
/// # Errors
/// If the file cannot be read or unpacked, is no text, or is in an encoding that is not decoded; the error names it.
pub fn read(path: &Path) -> Result<TextFile, TextFileError> {
    let bytes = std::fs::read(path).map_err(|error| TextFileError::Read(path.to_path_buf(), error))?;
    decode(bytes).map_err(|what| TextFileError::Content(path.to_path_buf(), what))
}

/// Decodes the bytes of a file, packed by gzip or not.
///
/// # Errors
/// As [`read`], as a sentence without the file's name.
pub fn decode(bytes: Vec<u8>) -> Result<TextFile, String> {
    let bytes = if bytes.starts_with(b"\x1f\x8b") {
        let mut unpacked = Vec::new();
        let unpack = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked);
        unpack.map_err(|error| format!("packed by gzip, and damaged or cut short ({error}); fetch the file again"))?;
        unpacked
    } else {
        bytes
    };
    if let Some(what) = no_text(&bytes) {
        return Err(what.to_string());
    }
    if bytes.starts_with(b"\xff\xfe\0\0") || bytes.starts_with(b"\0\0\xfe\xff") {
        return Err("UTF-32; save it as UTF-8".to_string());
    }
    if let Some(encoding) = utf_16(&bytes) {
        let (text, _, damaged) = encoding.decode(&bytes);
        let damage = if damaged { ", with characters that are none, now U+FFFD" } else { "" };
        return Ok(TextFile { text: text.into_owned(), remark: Some(format!("read as {}{damage}", encoding.name())) });
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Ok(TextFile { text, remark: None })
        }
        Err(error) => other(error.as_bytes()),
    }
}

/// Decodes the bytes of a file of lines, such as a class list; every line ends in `\n`, whatever it ended in.
///
/// # Errors
/// As [`decode`].
pub fn lines(bytes: Vec<u8>) -> Result<String, String> {
    Ok(decode(bytes)?.text.replace("\r\n", "\n").replace('\r', "\n"))
}

/// What a file that begins with these bytes is, and what to do, if it is known to be no text.
pub fn no_text(bytes: &[u8]) -> Option<&'static str> {
    let begins = |start: &[u8]| bytes.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    NO_TEXT.iter().find(|(start, _)| begins(start)).map(|(_, what)| *what)
}

/// UTF-16, by its byte order mark or because nearly every second byte of the beginning is 0, as in text of any Western language.
fn utf_16(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    if bytes.starts_with(b"\xff\xfe") {
        return Some(UTF_16LE);
    }
    if bytes.starts_with(b"\xfe\xff") {
        return Some(UTF_16BE);
    }
    let pairs = bytes[..bytes.len().min(1024)].as_chunks::<2>().0;
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let mostly = |many: usize, few: usize| pairs.len() > 3 && many * 10 > pairs.len() * 7 && few * 10 < pairs.len();
    if mostly(second, first) {
        Some(UTF_16LE)
    } else if mostly(first, second) {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Text that is not UTF-8: UTF-8 with damaged characters where some of those beyond ASCII are whole, else Windows-1252. Where most
/// characters are beyond ASCII it is another encoding, in which some bytes look like UTF-8 by chance.
fn other(bytes: &[u8]) -> Result<TextFile, String> {
    let Bytes { good, bad } = Bytes::of(bytes);
    let is_foreign = bytes.iter().filter(|byte| !byte.is_ascii()).count() * 4 > bytes.len();
    if good > 0 && (good >= bad || !is_foreign) {
        let remark = format!("{bad} character{} not UTF-8, now U+FFFD", if bad == 1 { " is" } else { "s are" });
        let text = String::from_utf8_lossy(bytes);
        return Ok(TextFile { text: text.trim_start_matches('\u{feff}').to_string(), remark: Some(remark) });
    }
    let undefined = bytes.iter().any(|byte| matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d));
    if undefined || is_foreign {
        return Err(
            "neither UTF-8 nor Windows-1252 (Latin-1); save it as UTF-8, such as with iconv -f <encoding> -t utf-8".to_string()
        );
    }
    Ok(TextFile { text: western(bytes).into_owned(), remark: Some("not UTF-8: read as Windows-1252 (Latin-1)".to_string()) })
}

fn western(bytes: &[u8]) -> Cow<'_, str> {
    WINDOWS_1252.decode_without_bom_handling(bytes).0
}

/// Counts of characters beyond ASCII: those that are UTF-8, and sequences of bytes that are not.
struct Bytes {
    good: usize,
    bad: usize,
}

impl Bytes {
    fn of(bytes: &[u8]) -> Self {
        let mut counts = Self { good: 0, bad: 0 };
        for chunk in bytes.utf8_chunks() {
            counts.good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
            counts.bad += usize::from(!chunk.invalid().is_empty());
        }
        counts
    }
}

/// Calls `each` with every line as it comes, without what ends it; for standard input, which may never end. Text that begins with the
/// byte order mark of UTF-16, or is packed, is read whole first. Returns what was not plain UTF-8, as a sentence.
///
/// # Errors
/// If the input cannot be read or decoded, or `each` fails.
pub fn each_line<E: From<io::Error>>(
    mut reader: impl BufRead,
    mut each: impl FnMut(&str) -> Result<(), E>,
) -> Result<Option<String>, E> {
    let begin = reader.fill_buf()?;
    // a line of text may well begin like a web page
    if let Some(what) = no_text(begin).filter(|_| begin.iter().take(4).any(|byte| !byte.is_ascii() || byte.is_ascii_control())) {
        return Err(io::Error::other(what).into());
    }
    if [b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| begin.starts_with(*mark)) {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let file = decode(bytes).map_err(io::Error::other)?;
        file.text.lines().try_for_each(each)?;
        return Ok(file.remark);
    }
    let (mut line, mut first, mut odd) = (Vec::new(), true, 0usize);
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = match std::str::from_utf8(&line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                odd += 1;
                if Bytes::of(&line).good > 0 { String::from_utf8_lossy(&line) } else { western(&line) }
            }
        };
        let text = if first { text.trim_start_matches('\u{feff}') } else { &text };
        first = false;
        each(text.trim_end_matches(['\n', '\r']))?;
    }
    Ok((odd > 0)
        .then(|| format!("{odd} line{} not UTF-8: read as Windows-1252 (Latin-1)", if odd == 1 { " is" } else { "s are" })))
}

/// A piece of a file in quotation marks for a message, shortened to 200 characters.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Names separated by commas for a message, shortened to 200 characters.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    let all = names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    match all.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}… ({} in all)", &all[..end], names.len()),
        None => all,
    }
}

/// A message in which whatever stands between quotation marks or backticks is shortened to 200 characters: libraries quote values
/// whole.
pub fn abridged(message: &str) -> String {
    let mut short = String::with_capacity(message.len().min(4096));
    let mut rest = message;
    while let Some(open) = rest.find(['"', '`']) {
        let mark = if rest[open..].starts_with('"') { '"' } else { '`' };
        short += &rest[..=open];
        rest = &rest[open + 1..];
        let mut is_escaped = false;
        let close = rest.char_indices().find(|&(_, c)| {
            let ends = c == mark && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let Some((close, _)) = close else { break };
        match rest[..close].char_indices().nth(QUOTED) {
            Some((end, _)) => short.extend([&rest[..end], "…"]),
            None => short += &rest[..close],
        }
        short.push(mark);
        rest = &rest[close + 1..];
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn utf_16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn every_encoding_gives_the_same_characters_and_is_told() {
        let want = "text,label\ncafé “fine”,1\n";
        let told = |bytes: &[u8]| {
            let file = decode(bytes.to_vec()).unwrap();
            assert_eq!(file.text, want, "{bytes:?}");
            file.remark.unwrap_or_default()
        };
        assert_eq!(told(want.as_bytes()), "");
        assert_eq!(told(&[b"\xef\xbb\xbf", want.as_bytes()].concat()), "");
        for (big, mark, name) in [(false, b"\xff\xfe", "UTF-16LE"), (true, b"\xfe\xff", "UTF-16BE")] {
            assert_eq!(told(&[mark.as_slice(), &utf_16(want, big)].concat()), format!("read as {name}"));
            assert_eq!(told(&utf_16(want, big)), format!("read as {name}"));
        }
        assert!(told(b"text,label\ncaf\xe9 \x93fine\x94,1\n").contains("Windows-1252"));
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(want.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(told(&packed), "");
        assert!(decode(packed[..packed.len() / 2].to_vec()).unwrap_err().contains("gzip, and damaged"));
    }

    #[test]
    fn lines_end_alike() {
        for bytes in [
            b"sky\nroad\n".as_slice(),
            b"\xef\xbb\xbfsky\r\nroad\r\n",
            b"sky\rroad\r",
            b"\xff\xfes\0k\0y\0\n\0r\0o\0a\0d\0\r\0\n\0",
        ] {
            assert_eq!(lines(bytes.to_vec()).unwrap(), "sky\nroad\n");
        }
    }

    #[test]
    fn damaged_characters_are_counted_and_other_files_are_named() {
        let file = decode(b"in the caf\xc3\xa9 \xe9 x\xff".to_vec()).unwrap();
        assert_eq!(
            (file.text.as_str(), file.remark.as_deref()),
            ("in the café \u{fffd} x\u{fffd}", Some("2 characters are not UTF-8, now U+FFFD"))
        );
        let refused = |bytes: &[u8], word: &str| {
            let error = decode(bytes.to_vec()).unwrap_err();
            assert!(error.contains(word), "{error}");
        };
        refused(b"PK\x03\x04rest", "spreadsheet");
        refused(b"<!DOCTYPE HTML>\n", "web page");
        refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull");
        refused(b"\xff\xfe\0\0a\0\0\0", "UTF-32");
        refused(&encoding_rs::WINDOWS_1251.encode("Очень хороший фильм, смотреть всем").0, "iconv");
        refused(&encoding_rs::GBK.encode("text\n很好的电影，我喜欢").0, "iconv");
        assert_eq!(decode(Vec::new()).unwrap().text, "");
        let missing = read(Path::new("nowhere/at.all")).unwrap_err().to_string();
        assert_eq!(missing, "nowhere/at.all: not readable");
    }

    #[test]
    fn lines_come_as_they_are_and_marks_do_not_count() {
        let lines = |bytes: &[u8]| {
            let mut all = Vec::new();
            let remark = each_line(bytes, |line| {
                all.push(line.to_string());
                Ok::<_, io::Error>(())
            });
            (all, remark.unwrap())
        };
        assert_eq!(lines(b"\xef\xbb\xbfone\r\ntwo\n\n"), (vec!["one".into(), "two".into(), String::new()], None));
        let (all, remark) = lines(b"caf\xe9\nplain");
        assert_eq!(
            (all, remark.as_deref()),
            (vec!["café".into(), "plain".into()], Some("1 line is not UTF-8: read as Windows-1252 (Latin-1)"))
        );
        assert_eq!(lines(b"<html>\nBZh").0.len(), 2);
        let image = each_line(b"\x89PNG\r\n\x1a\n".as_slice(), |_| Ok::<_, io::Error>(())).unwrap_err().to_string();
        assert!(image.contains("a PNG image"), "{image}");
        let wide = [b"\xff\xfe".as_slice(), &utf_16("один\nдва", false)].concat();
        assert_eq!(lines(&wide), (vec!["один".into(), "два".into()], Some("read as UTF-16LE".to_string())));
    }

    #[test]
    fn messages_quote_no_more_than_200_characters() {
        let long = "x".repeat(1000);
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
        assert_eq!(
            (listed(&["a", "b"]), listed(&[long.as_str()])),
            ("a, b".to_string(), format!("{}… (1 in all)", "x".repeat(200)))
        );
        assert_eq!(quoted(&long), format!("\"{}\"…", "x".repeat(200)));
        let message = format!("invalid type: string \"a \\\" {long}\", expected `{long}` at line 3");
        let short = abridged(&message);
        assert!(
            short.chars().count() < 460
                && short.ends_with("…` at line 3")
                && short.starts_with("invalid type: string \"a \\\" x"),
            "{short}"
        );
        for plain in ["no quotes", "one \" alone", "an \"ordinary\" one and `two`"] {
            assert_eq!(abridged(plain), plain);
        }
    }
}

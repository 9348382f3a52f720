//! `decoded`: the text of a file that people wrote, such as a class list.

use anyhow::{Result, bail, ensure};

/// The text of a file: UTF-8, with or without a byte order mark, or UTF-16 with one. Lines end in `\n`, whatever they ended in.
///
/// # Errors
/// If the bytes are no such text; the error says what they may be.
pub(crate) fn decoded(bytes: &[u8]) -> Result<String> {
    let wide = |bytes: &[u8], value: fn([u8; 2]) -> u16| {
        ensure!(bytes.len().is_multiple_of(2), "UTF-16 of an odd number of bytes: the file is cut short");
        let (pairs, _) = bytes.as_chunks::<2>();
        let text: std::result::Result<String, _> = char::decode_utf16(pairs.iter().map(|pair| value(*pair))).collect();
        text.map_err(|_| anyhow::anyhow!("malformed UTF-16: save the file as UTF-8"))
    };
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => wide(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => wide(rest, u16::from_be_bytes)?,
        [0xEF, 0xBB, 0xBF, rest @ ..] => utf8(rest)?,
        _ => utf8(bytes)?,
    };
    Ok(text.replace("\r\n", "\n").replace('\r', "\n"))
}

fn utf8(bytes: &[u8]) -> Result<String> {
    ensure!(!bytes.contains(&0), "not a text file: it has zero bytes (UTF-16 needs a byte order mark; save the file as UTF-8)");
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_string()),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
            bail!("line {line}: not UTF-8 (perhaps Latin-1 or Windows-1252): save the file as UTF-8")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_endings_are_taken_off_and_other_encodings_are_named() {
        let wide = |mark: [u8; 2], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain("sky\r\nstraße\r\n".encode_utf16().flat_map(bytes)).collect()
        };
        for bytes in [
            b"\xEF\xBB\xBFsky\nstra\xC3\x9Fe\n".to_vec(),
            b"sky\rstra\xC3\x9Fe\r".to_vec(),
            wide([0xFF, 0xFE], u16::to_le_bytes),
            wide([0xFE, 0xFF], u16::to_be_bytes),
        ] {
            assert_eq!(decoded(&bytes).unwrap(), "sky\nstraße\n");
        }
        let error = |bytes: &[u8]| decoded(bytes).unwrap_err().to_string();
        assert!(error(b"sky\nstra\xDFe\n").contains("line 2: not UTF-8 (perhaps Latin-1"));
        assert!(error(b"s\0k\0y\0").contains("zero bytes"));
        assert!(error(b"\xFF\xFEs").contains("odd number"));
    }
}

//! Digests: by which results say what they were measured on.

use sha2::{Digest, Sha256};

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of the parts of an example, each with its length, so that no two lists of parts are one.
pub fn of_example(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// The digest of a set, of those of its examples, whatever their order.
pub fn of_set(mut each: Vec<[u8; 32]>) -> String {
    each.sort_unstable();
    hex(&Sha256::digest(each.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_set_does_not_count_and_the_parts_of_an_example_do() {
        let [one, two] = [of_example(&[b"ab", b"c"]), of_example(&[b"a", b"bc"])];
        assert_ne!(one, two);
        assert_eq!(of_set(vec![one, two]), of_set(vec![two, one]));
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}

//! The lines of a Rust file, each also without its comments and without its comments and strings.

/// A line of code.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// The line unchanged.
    pub(crate) text: String,
    /// The line without comments.
    pub(crate) code: String,
    /// The line without comments and the contents of strings.
    pub(crate) bare: String,
    /// Whether it belongs to the test module (from `#[cfg(test)]` to the end of the file).
    pub(crate) test: bool,
}

/// The state of the reader.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Code,
    /// In a comment, with its nesting depth.
    Comment(usize),
    /// In a string; for raw strings with the number of `#` that end it.
    Text(Option<usize>),
}

/// Splits a file into lines of code.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let (mut at, mut test, mut found) = (At::Code, false, Vec::new());
    for line in text.lines() {
        let (code, bare, next) = strip(line, at);
        at = next;
        test |= bare.trim_start().starts_with("#[cfg(test)]");
        found.push(Line { text: line.to_string(), code, bare, test });
    }
    found
}

fn strip(line: &str, mut at: At) -> (String, String, At) {
    let letters: Vec<char> = line.chars().collect();
    let (mut code, mut bare) = (String::new(), String::new());
    let is = |i: usize, c: char| letters.get(i) == Some(&c);
    let hashes = |from: usize| letters[from.min(letters.len())..].iter().take_while(|c| **c == '#').count();
    let mut i = 0;
    while i < letters.len() {
        let letter = letters[i];
        match at {
            At::Comment(depth) if letter == '*' && is(i + 1, '/') => {
                at = if depth == 1 { At::Code } else { At::Comment(depth - 1) };
                i += 1;
            }
            At::Comment(depth) if letter == '/' && is(i + 1, '*') => {
                at = At::Comment(depth + 1);
                i += 1;
            }
            At::Comment(_) => {}
            At::Text(None) if letter == '\\' => {
                code.extend(letters[i..].iter().take(2));
                i += 1;
            }
            At::Text(raw) => {
                code.push(letter);
                if letter == '"' && hashes(i + 1) >= raw.unwrap_or(0) {
                    bare.push('"');
                    at = At::Code;
                }
            }
            At::Code if letter == '/' && is(i + 1, '/') => break,
            At::Code if letter == '/' && is(i + 1, '*') => {
                at = At::Comment(1);
                i += 1;
            }
            At::Code => {
                code.push(letter);
                bare.push(letter);
                let name = |c: &char| c.is_alphanumeric() || *c == '_';
                let starts =
                    i == 0 || !name(&letters[i - 1]) || (i == 1 || !name(&letters[i.max(2) - 2])) && letters[i - 1] == 'b';
                if letter == '"' {
                    at = At::Text(None);
                } else if letter == 'r' && starts && is(i + 1 + hashes(i + 1), '"') {
                    at = At::Text(Some(hashes(i + 1)));
                    i += 1 + hashes(i + 1);
                    code.push('"');
                    bare.push('"');
                } else if letter == '\'' {
                    // a character literal; a lifetime has no second quote there
                    let end = if is(i + 1, '\\') { (i + 3..letters.len()).find(|&j| letters[j] == '\'') } else { Some(i + 2) };
                    if let Some(end) = end.filter(|&end| is(end, '\'')) {
                        code.extend(&letters[i + 1..=end]);
                        bare.push('\'');
                        i = end;
                    }
                }
            }
        }
        i += 1;
    }
    (code, bare, at)
}

/// Whether `text` contains `word` as a whole word.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_name) && (word.ends_with(|c| !is_name(c)) || !text[at + word.len()..].starts_with(is_name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &str) -> Vec<String> {
        lines(text).into_iter().map(|line| line.bare.trim_end().to_string()).collect()
    }

    #[test]
    fn comments_and_strings_are_told_from_code() {
        assert_eq!(bare("let a = \"// no\"; // yes"), ["let a = \"\";"]);
        assert_eq!(bare("a /* b /* c */ d */ e\n/* f\ng */ h"), ["a  e", "", " h"]);
        assert_eq!(bare("let a = \"\\\"b\"; c('\"', '\\'', 'd); e"), ["let a = \"\"; c('', '', 'd); e"]);
        assert_eq!(bare("r#\"a \" b\nc\"# d; for\"x\""), ["r\"", "\"# d; for\"\""]);
        assert_eq!(lines("x(\"a\"); // b")[0].code, "x(\"a\"); ");
    }

    #[test]
    fn tests_begin_at_their_attribute() {
        let found = lines("a\n#[cfg(test)]\nmod tests {}");
        assert_eq!(found.iter().map(|line| line.test).collect::<Vec<_>>(), [false, true, true]);
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("an unsafe {", "unsafe") && !has_word("unsafe_code", "unsafe") && !has_word("xfs::a", "fs::"));
        assert!(has_word("std::fs::read", "fs::"));
    }
}

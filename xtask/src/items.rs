//! `Scope`: the declarations, imports and paths of one module of a Rust file, read without a compiler.
//!
//! It reads tokens and knows no types, so paths are found but method calls on values are not.

use crate::source::lines;
use std::collections::BTreeSet;

/// A module of a file; items under `#[cfg(test)]` are left out.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Its name; empty for the file itself.
    pub(crate) name: String,
    /// Modules in files of their own: `mod name;`.
    pub(crate) files: Vec<String>,
    /// Modules in this file: `mod name { … }`.
    pub(crate) inline: Vec<Scope>,
    /// Names of functions, types, traits, constants and macros.
    pub(crate) defined: BTreeSet<String>,
    /// The macros among them, which the whole crate can call without a path.
    pub(crate) macros: BTreeSet<String>,
    /// The names that `use` imports.
    pub(crate) imports: Vec<Import>,
    /// Every path in the code, of one or more segments.
    pub(crate) paths: BTreeSet<Vec<String>>,
    /// The macros that are called.
    pub(crate) called: BTreeSet<String>,
}

/// One name that `use` imports.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Import {
    /// The name in this module; `*` for all names of another module.
    pub(crate) name: String,
    /// The path of the imported item.
    pub(crate) path: Vec<String>,
}

/// The keywords that declare the name after them.
const DECLARES: [&str; 9] = ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "macro_rules"];

/// Reads a file.
pub(crate) fn read(text: &str) -> Scope {
    let code: Vec<String> = lines(text).into_iter().map(|line| line.bare).collect();
    let words = words(&code.join("\n"));
    let mut reader = Reader { words: &words, at: 0 };
    reader.scope(String::new())
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits code into names, numbers, `::`, `..` and single characters; lifetimes and strings are dropped.
fn words(code: &str) -> Vec<String> {
    let letters: Vec<char> = code.chars().collect();
    let in_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let (mut words, mut i) = (Vec::new(), 0);
    while i < letters.len() {
        let next = letters.get(i + 1);
        let len = match letters[i] {
            c if in_name(&c) => letters[i..].iter().take_while(|c| in_name(c)).count(),
            // the quotes of a character, or a lifetime
            '\'' if next == Some(&'\'') => 2,
            '\'' => 1 + letters[i + 1..].iter().take_while(|c| in_name(c)).count(),
            ':' if next == Some(&':') => 2,
            '.' if next == Some(&'.') => 2,
            _ => 1,
        };
        let word: String = letters[i..i + len].iter().collect();
        if !word.starts_with(['\'', '"']) && !word.trim().is_empty() {
            words.push(word);
        }
        i += len;
    }
    words
}

struct Reader<'a> {
    words: &'a [String],
    at: usize,
}

impl Reader<'_> {
    fn word(&self, ahead: usize) -> &str {
        self.words.get(self.at + ahead).map_or("", String::as_str)
    }

    /// Reads a module up to the brace that closes it, or the end of the file.
    fn scope(&mut self, name: String) -> Scope {
        let mut scope = Scope { name, ..Scope::default() };
        // declarations inside functions and implementations are not items of the module
        let mut depth = 0;
        while self.at < self.words.len() {
            match self.word(0) {
                "}" if depth == 0 => break,
                "{" => depth += 1,
                "}" => depth -= 1,
                "#" if self.word(1) == "[" && self.is_for_tests() => {
                    self.skip_group();
                    self.skip_item();
                    continue;
                }
                "mod" if depth == 0 && is_name(self.word(1)) => {
                    self.module(&mut scope);
                    continue;
                }
                "use" if self.word(1) != "<" => {
                    self.at += 1;
                    self.tree(Vec::new(), &mut scope.imports);
                    continue;
                }
                word if is_name(word) => {
                    self.name(&mut scope, depth == 0);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
        scope
    }

    /// Reads `mod name;` or `mod name { … }`, including the closing brace.
    fn module(&mut self, scope: &mut Scope) {
        let name = self.word(1).to_string();
        let inline = self.word(2) == "{";
        self.at += 3;
        if inline {
            scope.inline.push(self.scope(name));
            self.at += 1;
        } else {
            scope.files.push(name);
        }
    }

    /// Reads a declaration, a macro call or a path.
    fn name(&mut self, scope: &mut Scope, outermost: bool) {
        let bang = usize::from(self.word(1) == "!");
        if outermost && DECLARES.contains(&self.word(0)) && is_name(self.word(1 + bang)) {
            let mut place = 1 + bang;
            // const fn, static mut
            while DECLARES.contains(&self.word(place)) || ["mut", "unsafe", "extern"].contains(&self.word(place)) {
                place += 1;
            }
            let name = self.word(place).to_string();
            if bang == 1 {
                scope.macros.insert(name.clone());
            }
            scope.defined.insert(name);
            self.at += place + 1;
            return;
        }
        // fields, methods, and the rest of a path after its generics
        let continues = self.at > 0 && [".", "::"].contains(&self.words[self.at - 1].as_str());
        let mut path = vec![self.word(0).to_string()];
        self.at += 1;
        while self.word(0) == "::" && is_name(self.word(1)) {
            path.push(self.word(1).to_string());
            self.at += 2;
        }
        if continues {
            return;
        }
        if self.word(0) == "!" && self.word(1) != "=" && path.len() == 1 {
            scope.called.insert(path[0].clone());
        }
        scope.paths.insert(path);
    }

    /// Reads the tree after `use`: a path, a group, `*` or a renaming.
    fn tree(&mut self, mut path: Vec<String>, imports: &mut Vec<Import>) {
        if self.word(0) == "::" {
            self.at += 1;
        }
        loop {
            match self.word(0).to_string().as_str() {
                "{" => {
                    self.at += 1;
                    while !["}", ""].contains(&self.word(0)) {
                        self.tree(path.clone(), imports);
                        if self.word(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "*" => {
                    self.at += 1;
                    imports.push(Import { name: "*".to_string(), path });
                    return;
                }
                word if is_name(word) => path.push(word.to_string()),
                // not a known kind of tree: stop
                _ => {
                    self.at += 1;
                    return;
                }
            }
            self.at += 1;
            if self.word(0) == "::" {
                self.at += 1;
                continue;
            }
            if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                path.pop();
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if self.word(0) == "as" {
                name = self.word(1).to_string();
                self.at += 2;
            }
            imports.push(Import { name, path });
            return;
        }
    }

    /// Whether the attribute that begins here is `#[test]` or `#[cfg(test)]`, or asks for tests among other things.
    fn is_for_tests(&self) -> bool {
        let inside: Vec<&str> = self.words[self.at + 2..].iter().map(String::as_str).take_while(|word| *word != "]").collect();
        inside == ["test"] || inside.first() == Some(&"cfg") && inside.contains(&"test") && !inside.contains(&"not")
    }

    /// Skips a group up to its closing bracket.
    fn skip_group(&mut self) {
        let mut depth = 0;
        while self.at < self.words.len() {
            match self.word(0) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            let closes = depth == 0 && [")", "]", "}"].contains(&self.word(0));
            self.at += 1;
            if closes {
                return;
            }
        }
    }

    /// Skips an item and its remaining attributes, up to its semicolon or closing brace.
    fn skip_item(&mut self) {
        while self.at < self.words.len() {
            match self.word(0) {
                ";" => break,
                "{" => return self.skip_group(),
                "(" | "[" => self.skip_group(),
                _ => self.at += 1,
            }
        }
        self.at += 1;
    }
}

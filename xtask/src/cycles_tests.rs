//! Tests of `cycles`: which names count as dependencies between files, and how a cycle is described.

use super::*;

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(name, text)| (format!("crates/a/src/{name}"), text.to_string())).collect();
    cycles(&files)
}

/// The names that edge two files, as the description has them.
fn tied(files: &[(&str, &str)], edge: &str) {
    let found = found(files);
    assert!(found.len() == 1 && found[0].contains(edge), "{files:?}: {found:?}");
}

fn free(files: &[(&str, &str)]) {
    let found = found(files);
    assert!(found.is_empty(), "{files:?}: {found:?}");
}

#[test]
fn files_that_take_names_from_each_other_are_a_circle() {
    let lib = ("lib.rs", "mod one;\nmod two;\nmod three;");
    let one = ("one.rs", "use crate::two::{Two, helper};\npub struct One(Two);");
    let three = ("three.rs", "use crate::one::One;");
    let two = ("two.rs", "pub struct Two;\npub fn helper() -> super::one::One { todo() }");
    let found = found(&[lib, one, two, three]);
    assert_eq!(
        found,
        ["crates/a/src: 2 files form a cycle:\n    one.rs takes Two, helper from two.rs\n    two.rs takes One from one.rs"]
    );
    free(&[lib, one, ("two.rs", "pub struct Two;\npub fn helper() {}"), three]);
}

#[test]
fn longer_cycles_and_several_are_told_apart() {
    let lib = ("lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\nmod e;");
    let (a, b) = (("a.rs", "use crate::b::B;\npub fn a() {}"), ("b.rs", "use crate::c::C;\npub struct B;"));
    let (c, d) = (("c.rs", "pub struct C;\nfn c() { crate::a::a() }"), ("d.rs", "use crate::e::E;\npub struct D;"));
    let found = found(&[lib, a, b, c, d, ("e.rs", "use crate::{a::a, d::D};\npub struct E;")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("3 files") && found[1].contains("2 files"), "{found:?}");
}

#[test]
fn a_table_of_contents_is_looked_through() {
    let lib = ("lib.rs", "mod shape;\nmod user;\npub use shape::Square as Tile;\npub use shape::corner::*;");
    let table = ("shape/mod.rs", "mod square;\npub mod corner;\npub use square::{Square, area};\npub(crate) use corner::Corner;");
    let square = ("shape/square.rs", "use super::Corner;\npub struct Square;\npub fn area() {}");
    let corner = ("shape/corner.rs", "pub struct Corner;\npub fn round() {}");
    free(&[lib, table, square, corner, ("user.rs", "use crate::shape::{self, Corner};\nfn u() { shape::area() }")]);
    // the same through the table
    let corner = ("shape/corner.rs", "pub struct Corner;\npub fn round() { super::area() }");
    tied(&[lib, table, square, corner, ("user.rs", "")], "shape/corner.rs takes area from shape/square.rs");
    // under another name, and by all names of a module
    let square = ("shape/square.rs", "use crate::user::user;\npub struct Square;\npub fn area() {}");
    let corner = ("shape/corner.rs", "pub struct Corner;\npub fn round() {}");
    tied(
        &[lib, table, square, corner, ("user.rs", "use crate::Tile;\npub fn user() {}")],
        "user.rs takes Square from shape/square.rs",
    );
    let corner = ("shape/corner.rs", "use crate::user::user;\npub struct Corner;\npub fn round() {}");
    tied(&[lib, table, ("shape/square.rs", ""), corner, ("user.rs", "pub fn user() { crate::round() }")], "user.rs takes round");
}

#[test]
fn a_table_that_defines_what_its_children_use_is_a_circle() {
    let lib = ("lib.rs", "mod shape;");
    let square = ("shape/square.rs", "use super::Side;\npub struct Square(Side);");
    tied(&[lib, ("shape/mod.rs", "mod square;\npub use square::Square;\npub struct Side;"), square], "mod.rs takes Square");
    tied(&[lib, ("shape/mod.rs", "mod square;\npub struct Side;\nfn f(s: square::Square) {}"), square], "square.rs takes Side");
    free(&[lib, ("shape/mod.rs", "mod square;\npub struct Side;"), square]);
    free(&[
        lib,
        ("shape.rs", "mod side;\nmod square;\npub use side::Side;\npub use square::Square;"),
        square,
        ("shape/side.rs", "pub struct Side;"),
    ]);
}

#[test]
fn paths_in_code_tie_and_other_words_do_not() {
    let lib = ("lib.rs", "mod one;\nmod two;");
    let two = ("two.rs", "use crate::one::One;\npub enum Kind { A }\npub const TWO: usize = 2;\npub fn take() {}");
    for code in [
        "fn f() -> usize { crate::two::TWO }",
        "fn f() { <Vec<super::two::Kind>>::new() }",
        "use super::two;\nfn f() { let k = two::Kind::A; }",
        "use crate::two as other;\nfn f() { other::take::<u8>() }",
        "fn f() { use crate::two::*; take(); }",
        "mod inner { pub fn f() { super::super::two::take() } }",
    ] {
        let text = format!("pub struct One;\n{code}");
        tied(&[lib, ("one.rs", &text), two], "one.rs takes");
    }
    for code in [
        "// crate::two::TWO\nconst A: &str = \"crate::two::TWO\";",
        "use crate::two;",
        "struct Take { take: u8, two: u8 }\nfn f(t: Take) -> u8 { t.take + t.two }",
        "fn take<'two>() { self::One; std::two::take() }",
        "impl One { fn take(&self) {} }\nfn f(one: One) { one.take(); One::take(&one); }",
    ] {
        let text = format!("pub struct One;\n{code}");
        free(&[lib, ("one.rs", &text), two]);
    }
}

#[test]
fn what_is_for_tests_does_not_count() {
    let lib = ("lib.rs", "mod one;\nmod two;");
    let two = ("two.rs", "use crate::one::One;\npub fn two() {}");
    for code in [
        "#[cfg(test)]\nmod tests { use super::*; use crate::two::two; fn f() { two() } }",
        "#[cfg(test)]\n#[path = \"one_tests.rs\"]\nmod tests;",
        "#[cfg(test)]\nuse crate::two::{two};",
        "impl One {\n#[cfg(test)]\npub fn f() -> [u8; 2] { crate::two::two(); [1; 2] }\n}",
        "#[test]\nfn f() { crate::two::two() }",
    ] {
        free(&[lib, ("one.rs", &format!("pub struct One;\n{code}")), two]);
        tied(&[lib, ("one.rs", &format!("pub struct One;\n{code}\nfn g() {{ crate::two::two() }}")), two], "one.rs takes two");
    }
    tied(&[lib, ("one.rs", "pub struct One;\n#[cfg(not(test))]\nuse crate::two::two;"), two], "one.rs takes two");
}

#[test]
fn macros_are_found_without_a_path() {
    let lib = ("lib.rs", "#[macro_use]\nmod one;\nmod two;");
    let one = ("one.rs", "macro_rules! say { ($a:expr) => { $crate::two::two($a) } }");
    tied(&[lib, one, ("two.rs", "pub fn two() { say!(1); }")], "two.rs takes say! from one.rs");
    free(&[lib, one, ("two.rs", "pub fn two() { println!(); let say = 1; if say != 2 {} }")]);
}

#[test]
fn programs_are_read_apart_and_a_missing_file_is_named() {
    free(&[("lib.rs", "mod one;"), ("one.rs", "pub fn one() {}"), ("bin/b.rs", "use a::one::one;"), ("main.rs", "fn main() {}")]);
    let found = found(&[("lib.rs", "mod one;")]);
    assert_eq!(found, ["crates/a/src/lib.rs: mod one: neither crates/a/src/one.rs nor crates/a/src/one/mod.rs is there"]);
}

#[test]
fn imports_that_lead_nowhere_end() {
    free(&[
        ("lib.rs", "mod one;\nuse one::*;\npub use two::two;"),
        ("one.rs", "use super::*;\nuse serde::serde;\nfn f() { other() }"),
    ]);
}

//! Tests of `tidy`: each rule with what breaks it and what only looks so.

use super::*;

fn checked(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    source(name, &format!("//! What it is.\n{text}"), &mut problems);
    problems
}

fn breaks(name: &str, text: &str, part: &str) {
    let problems = checked(name, text);
    assert!(problems.len() == 1 && problems[0].contains(part), "{name}: {text}: {problems:?}");
}

fn keeps(name: &str, text: &str) {
    let problems = checked(name, text);
    assert!(problems.is_empty(), "{name}: {text}: {problems:?}");
}

const CORE: &str = "crates/sncn-core/src/loss.rs";
const LAYER: &str = "crates/sncn-core/src/layer/norm.rs";
const KERNEL: &str = "crates/sncn-kernels/src/a.rs";

#[test]
fn long_unfinished_and_nameless_files() {
    breaks("xtask/src/a.rs", &"x\n".repeat(400), "401 lines");
    breaks("xtask/src/a.rs", "fn a() { todo!() }", "unfinished");
    let mut problems = Vec::new();
    source("xtask/src/a.rs", "fn a() {}", &mut problems);
    assert!(problems[0].contains("does not open"), "{problems:?}");
    source("crates/sncn-core/src/loss/tests.rs", "use std::fs;", &mut problems);
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn the_core_is_pure() {
    breaks(CORE, "use std::fs::File;", "fs::");
    breaks(CORE, "let t = Instant::now();", "clock");
    breaks(CORE, "println!(\"a\");", "prints");
    keeps(CORE, "// std::fs::read\n#[cfg(test)]\nmod tests { use std::fs::File; }");
    keeps(CORE, "let offs::A = \"std::env\";");
    keeps(CORE, "#[doc = include_str!(\"../README.md\")]\npub struct Readme;");
    keeps(CORE, "const STYLE: &str = include_str!(\"page.css\");");
    breaks(CORE, "const STYLE: &str = include_str!(\"../../page.css\");", "sncn-core does no I/O");
    breaks("crates/sncn-weights/src/weights.rs", "use std::fs::File;", "sncn-weights does no I/O");
    breaks("crates/sncn-record/src/table.rs", "eprintln!(\"a\");", "sncn-record prints");
    keeps("crates/sncn-train/src/checkpoint.rs", "use std::fs::File;");
}

#[test]
fn errors_of_libraries_are_typed() {
    breaks("crates/sncn-train/src/data.rs", "fn a() -> anyhow::Result<()>;", "anyhow is for programs");
    breaks(CORE, "use anyhow::Result;", "anyhow");
    keeps(CORE, "#[cfg(test)]\nmod tests { use anyhow::Result; }");
    keeps("crates/sncn-train/src/harness/run.rs", "use anyhow::Result;");
    keeps("crates/sncn-vision/src/classify/train.rs", "use anyhow::Result;");
}

#[test]
fn layers_know_positions_only() {
    breaks(LAYER, "let pixel_count = 1;", "pixel");
    breaks(LAYER, "bail!(\"no image\");", "image");
    keeps(LAYER, "/// Of an image.\nlet imagenet = 1;");
    keeps(CORE, "let image = 1;");
}

#[test]
fn only_commands_import_harness() {
    breaks("crates/sncn-vision/src/backbone/a.rs", "use sncn_train::harness::Run;", "harness");
    keeps("crates/sncn-vision/src/classify/a.rs", "use sncn_train::harness::Run;");
    keeps("crates/sncn-train/src/lib.rs", "pub mod harness;");
}

#[test]
fn unsafe_stays_in_kernels_and_is_justified() {
    breaks(CORE, "unsafe { a() }", "outside sncn-kernels");
    breaks(KERNEL, "unsafe { a() }", "SAFETY");
    breaks(KERNEL, "// SAFETY: b\nlet b = 1;\nunsafe { a() }", "SAFETY");
    keeps(KERNEL, "// SAFETY: the length was checked\nlet a =\n    unsafe { a() };");
    keeps(CORE, "#![deny(unsafe_code)] // unsafe");
}

#[test]
fn nothing_random_or_remote() {
    breaks(CORE, "let rng = rand::rng();", "Seed");
    breaks("crates/sncn-vision/tests/a.rs", "use std::net::TcpStream;", "network");
    breaks("crates/sncn-vision/src/a.rs", "use sncn_golden::read;", "golden");
    keeps("crates/sncn-vision/tests/a.rs", "use sncn_golden::read;");
}

#[test]
fn machine_paths_are_found_and_addresses_are_not() {
    let found = |line: &str| {
        let mut problems = Vec::new();
        machine_paths("a.md", line, &mut problems);
        problems.len()
    };
    assert_eq!(found(concat!("see /", "home/me/a")), 1);
    assert_eq!(found(concat!("\"/", "work/a\"")), 1);
    assert_eq!(found(concat!("https://a.org/", "home/a and ./", "work/a")), 0);
}

#[test]
fn dependencies_point_one_way_and_have_reasons() {
    let found = |name: &str, text: &str| {
        let mut problems = Vec::new();
        dependencies(name, text, &mut problems);
        problems
    };
    let of = |own: &str, dependency: &str, section: &str| {
        found(&format!("crates/{own}/Cargo.toml"), &format!("[{section}]\n{dependency}.workspace = true\n")).len()
    };
    assert_eq!(of("sncn-vision", "sncn-core", "dependencies"), 0);
    assert_eq!(of("sncn-core", "sncn-golden", "dev-dependencies"), 0);
    assert_eq!(of("sncn-core", "sncn-golden", "dependencies"), 1);
    assert_eq!(of("sncn-golden", "sncn-vision", "dev-dependencies"), 0);
    assert_eq!(of("sncn-golden", "sncn-vision", "dependencies"), 1);
    assert_eq!(of("sncn-core", "sncn-vision", "dev-dependencies"), 1);
    assert_eq!(of("sncn-kernels", "candle-core", "dependencies"), 1);
    assert_eq!(of("sncn-record", "candle-core", "dependencies"), 1);
    assert_eq!(of("sncn-core", "sncn-record", "dependencies"), 1);
    assert_eq!(of("sncn-train", "sncn-record", "dependencies"), 0);
    assert_eq!(of("sncn-weights", "sncn-train", "dependencies"), 1);
    assert_eq!(of("xtask", "sncn-core", "dependencies"), 1);
    assert_eq!(of("xtask", "sncn-record", "dependencies"), 0);
    assert_eq!(of("xtask", "sncn-report", "dependencies"), 0);
    assert_eq!(of("sncn-new", "serde", "dependencies"), 1);
    let root = "[workspace.dependencies]\nsncn-core = { path = \"a\" }\n# why\na = \"1\"\nb = \"1\"\nc = \"1\"\nd = \"1\"\n";
    let problems = found("Cargo.toml", root);
    assert!(problems.len() == 1 && problems[0].contains("Cargo.toml:7: d: why"), "{problems:?}");
}

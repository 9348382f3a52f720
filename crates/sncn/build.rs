//! Tells the programs which commit they are built from: `SNCN_COMMIT` (empty where it is unknown) and `SNCN_DIRTY`.

use std::path::Path;
use std::process::Command;

/// What the programs are made of: a change here makes a build differ from its commit.
const SOURCES: [&str; 3] = ["crates", "Cargo.toml", "Cargo.lock"];

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}

/// The commit that a published package was made from.
fn packaged() -> Option<String> {
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_string)
}

fn main() {
    let root = Path::new("../..");
    let inside = root.join("crates/sncn/build.rs").is_file();
    let (mut commit, mut dirty) = (packaged(), false);
    if inside && commit.is_none() {
        commit = git(&["rev-parse", "HEAD"]);
        let paths = SOURCES.map(|source| format!(":/{source}"));
        let arguments =
            ["status", "--porcelain", "--untracked-files=no", "--"].into_iter().chain(paths.iter().map(String::as_str));
        dirty = git(&arguments.collect::<Vec<_>>()).is_some_and(|changes| !changes.is_empty());
        for source in SOURCES {
            println!("cargo::rerun-if-changed={}", root.join(source).display());
        }
        // a commit, or another branch
        if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
            println!("cargo::rerun-if-changed={log}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=SNCN_COMMIT={}", commit.unwrap_or_default());
    println!("cargo::rustc-env=SNCN_DIRTY={dirty}");
}

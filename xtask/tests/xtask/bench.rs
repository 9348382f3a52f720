//! `cargo xtask bench` with shell scripts in the place of both sides.

use crate::interrupted;
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

type Outcome = Result<(), Box<dyn Error>>;

/// Prints `ours/<case>`, with `@` replaced by 100 × the threads; notes each command in `log`; without that file the case is
/// not known. A file `hang` makes it wait.
const OURS: &str = r#"#!/bin/sh
echo "ours $*" >> log
if [ -e hang ]; then echo > ready; exec sleep 20; fi
if [ ! -e "ours/$2" ]; then
  echo "error: invalid value '$2' for '<CASE>'" >&2; echo "  [possible values: wrn]" >&2; exit 2
fi
sed "s/@/${6}00/" "ours/$2"
"#;

/// The interpreter: prints `theirs/<name>`, where a snippet's name is its first word; without that file it fails.
const PYTHON: &str = r#"#!/bin/sh
if [ "$1" = -c ]; then name=$3; else name=$2; [ "$3" = --compile ] && name=compiled; fi
echo "theirs $name" >> log
if [ ! -e "theirs/$name" ]; then
  echo "Traceback (most recent call last):" >&2; echo "ModuleNotFoundError: No module named 'made_up'" >&2; exit 1
fi
cat "theirs/$name"
"#;

struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    fn new() -> Result<Self, Box<dyn Error>> {
        let tree = Self { folder: tempfile::tempdir()? };
        for folder in ["ours", "theirs"] {
            fs::create_dir_all(tree.at(folder))?;
        }
        fs::write(tree.at("Cargo.toml"), "[workspace]\n")?;
        fs::write(tree.at("peer.py"), "")?;
        for (name, script) in [("classify", OURS), ("python", PYTHON)] {
            fs::write(tree.at(name), script)?;
            fs::set_permissions(tree.at(name), fs::Permissions::from_mode(0o755))?;
        }
        tree.say(
            "ours/linear",
            &[("linear 1->2", "forward (4, 1)", "2", "ms"), ("linear 1->2", "forward+backward (4, 1)", "4", "ms")],
        )?;
        tree.say(
            "theirs/linear",
            &[("linear 1->2", "forward (4, 1)", "4", "ms"), ("linear 1->2", "forward+backward (4, 1)", "8", "ms")],
        )?;
        Ok(tree)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// What a side prints of a case.
    fn say(&self, path: &str, figures: &[(&str, &str, &str, &str)]) -> Outcome {
        let line = |(case, what, value, unit): &(&str, &str, &str, &str)| {
            format!("{{\"case\":\"{case}\",\"what\":\"{what}\",\"value\":{value},\"unit\":\"{unit}\"}}\n")
        };
        Ok(fs::write(self.at(path), figures.iter().map(line).collect::<String>())?)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command, Box<dyn Error>> {
        let mut command = Command::cargo_bin("xtask")?;
        command.arg("bench").args(arguments).current_dir(self.folder.path()).env("SNCN_CLASSIFY", "./classify");
        Ok(command)
    }

    /// The command with the peer.
    fn beside(&self, arguments: &[&str]) -> Result<assert_cmd::assert::Assert, Box<dyn Error>> {
        Ok(self.command(&[&["--peer", "peer.py", "--python", "./python", "--threads", "2"], arguments].concat())?.assert())
    }

    /// The commands since the last call.
    fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("log")).unwrap_or_default();
        let _ = fs::remove_file(self.at("log"));
        text.lines().map(str::to_string).collect()
    }

    /// Both sides of WideResNet.
    fn wrn(&self) -> Outcome {
        let wrn = "wrn40_2";
        let rate = |what, value| (wrn, what, value, "images/s");
        let (plain, mixed, inference) = ("train, SelfNorm", "train, SelfNorm + 2 CrossNorm", "inference, SelfNorm");
        self.say("ours/wrn", &[rate(plain, "200"), rate(mixed, "@"), rate(inference, "900"), (wrn, "peak memory", "9", "MB")])?;
        self.say("ours/memory", &[(wrn, "peak memory", "500", "MB")])?;
        self.say("theirs/wrn", &[rate(plain, "125"), rate(mixed, "125"), rate(inference, "400")])?;
        self.say("theirs/compiled", &[rate(plain, "160"), rate(inference, "1000")])?;
        self.say("theirs/engines", &[rate("inference, SelfNorm, ONNX Runtime", "500")])?;
        self.say("theirs/memory", &[(wrn, "peak memory", "1000", "MB")])
    }
}

#[test]
fn both_sides_run_in_alternation_and_ratios_are_held_to_bars() -> Outcome {
    let tree = Tree::new()?;
    let line = "linear 1->2  forward (4, 1)           2.00  4.00  ms     2.00  2.00 to 2.00  1.70  ok";
    let said = tree.beside(&["--cases", "linear", "--rounds", "2", "--runs", "7"])?.code(0);
    said.stdout(contains(line).and(contains("\n2 of 2 bars hold\n")));
    let ours = "ours bench linear --runs 7 --threads 2";
    assert_eq!(tree.log(), [ours, "theirs linear", ours, "theirs linear"]);
    tree.say("theirs/linear", &[("linear 1->2", "forward (4, 1)", "3", "ms")])?;
    let said = tree.beside(&["--cases", "linear", "--rounds", "1"])?.code(1);
    said.stdout(
        contains("1.50 to 1.50  1.70  short")
            .and(contains("0 of 1 bars hold; not measured: linear 1->2: forward+backward (4, 1)\n")),
    );
    Ok(())
}

#[test]
fn a_network_has_other_forms_memory_and_cores() -> Outcome {
    let tree = Tree::new()?;
    tree.wrn()?;
    let output = tree.beside(&["--cases", "wrn", "--rounds", "1", "--json"])?.code(1).get_output().clone();
    let lines: Vec<serde_json::Value> =
        output.stdout.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
    let short: Vec<_> = lines
        .iter()
        .map(|l| (l["what"].as_str().unwrap(), l["ratio"].as_f64(), l["bar"].as_f64(), l["holds"].as_bool()))
        .collect();
    let mut wanted = vec![
        ("train, SelfNorm", Some(1.6), None, None),
        ("train, SelfNorm, compiled", Some(1.25), Some(1.25), Some(true)),
        ("train, SelfNorm + 2 CrossNorm", Some(1.6), Some(1.5), Some(true)),
        ("inference, SelfNorm", Some(2.25), Some(1.8), Some(true)),
        ("inference, SelfNorm, compiled", Some(0.9), Some(1.), Some(false)),
        ("inference, SelfNorm, ONNX Runtime", Some(1.8), Some(1.), Some(true)),
        ("peak memory", Some(2.), Some(1.), Some(true)),
    ];
    let several = std::thread::available_parallelism()?.get() > 1;
    if several {
        wanted.push(("train, SelfNorm + 2 CrossNorm, two cores against one", Some(2.), Some(1.8), Some(true)));
    }
    assert_eq!(short, wanted);
    let keys: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["case", "what", "ours", "peer", "ratio", "low", "high", "bar", "holds", "unit", "limit"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let verdict = if several { "6 of 7 bars hold" } else { "5 of 6 bars hold" };
    assert!(said.contains(verdict) && said.contains("not measured: wrn40_2: inference, SelfNorm, OpenVINO f32"), "{said}");
    if several {
        let cores = ["ours bench wrn --runs 5 --threads 2", "ours bench wrn --runs 5 --threads 1"];
        let log = tree.log();
        assert_eq!(log[log.len() - 2..], cores);
    }
    Ok(())
}

#[test]
fn what_a_machine_or_program_does_not_have_is_left_out_aloud() -> Outcome {
    let tree = Tree::new()?;
    tree.wrn()?;
    for file in ["ours/memory", "theirs/engines", "theirs/compiled"] {
        fs::remove_file(tree.at(file))?;
    }
    let message = contains("this sncn-classify has no `bench memory`: left out")
        .and(contains("left out: the peer's engines failed (exit status: 1: ModuleNotFoundError: No module named 'made_up')"))
        .and(contains("left out: the peer's wrn --compile failed"));
    let said = tree.beside(&["--cases", "wrn", "--rounds", "2"])?.code(0).stderr(message);
    said.stdout(contains("not measured: wrn40_2: peak memory; ").and(contains("inference, SelfNorm, compiled")));
    // what failed once is not tried again
    assert_eq!(tree.log().iter().filter(|line| line.contains("engines") || line.contains("compiled")).count(), 2);
    Ok(())
}

#[test]
fn a_side_that_fails_is_named_with_its_last_line() -> Outcome {
    let tree = Tree::new()?;
    fs::remove_file(tree.at("theirs/linear"))?;
    let failed = "error: the peer's linear failed (exit status: 1: ModuleNotFoundError: No module named 'made_up')";
    tree.beside(&["--cases", "linear"])?.code(1).stderr(contains(failed).and(contains("--python")));
    fs::write(tree.at("theirs/linear"), "{\"case\":1}\n")?;
    tree.beside(&["--cases", "linear"])?.code(1).stderr(contains("the peer's linear: not a figure: {\"case\":1}"));
    fs::write(tree.at("classify"), "#!/bin/sh\necho broken >&2; exit 4\n")?;
    tree.command(&["--cases", "linear"])?
        .assert()
        .code(1)
        .stderr(contains("sncn-classify bench linear failed (exit status: 4: broken)"));
    Ok(())
}

#[test]
fn without_a_peer_our_figures_stand_alone() -> Outcome {
    let tree = Tree::new()?;
    fs::write(tree.at("ours/linear"), r#"{"case":"linear 1->2","what":"forward (4, 1)","value":2,"unit":"ms","limit":1.5}"#)?;
    let table =
        "case         what            ours  unit  limit (reached)\nlinear 1->2  forward (4, 1)  2.00  ms    1.50 (75 %)\n";
    tree.command(&["--cases", "linear"])?.assert().code(0).stdout(table);
    Ok(())
}

#[test]
fn wrong_arguments_have_a_code_of_their_own() -> Outcome {
    let tree = Tree::new()?;
    for arguments in [["--rounds", "0"], ["--runs", "0"], ["--threads", "0"], ["--cases", "nonesuch"]] {
        tree.command(&arguments)?.assert().code(2);
    }
    tree.command(&["--peer", "nonesuch.py"])?.assert().code(2).stderr(contains("nonesuch.py: no such file"));
    assert_eq!(tree.log(), [""; 0]);
    Ok(())
}

#[test]
fn figures_are_saved_whole_with_their_machine_and_a_picture() -> Outcome {
    let tree = Tree::new()?;
    tree.wrn()?;
    fs::write(tree.at("theirs/versions"), "{\"python\":\"3\",\"torch\":\"2\"}\n")?;
    tree.beside(&["--cases", "wrn", "--rounds", "1", "--save"])?.code(1).stderr(contains("no `bench profile`: left out"));
    tree.say("ours/profile", &[("wrn40_2 step", "conv", "30", "ms"), ("wrn40_2 step", "add", "10", "ms")])?;
    tree.beside(&["--cases", "wrn", "--rounds", "1", "--save"])?.code(1).stderr(contains("written: results/bench/step.svg"));
    let mut files: Vec<PathBuf> = fs::read_dir(tree.at("results/bench"))?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    // a second save is a file of its own
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(files[0].to_string_lossy().ends_with("-2.jsonl"), "{files:?}");
    assert!(fs::read_to_string(&files[2])?.contains("wrn40_2 step: 40.0 ms"));
    let text = fs::read_to_string(&files[0])?;
    let lines: Vec<serde_json::Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((&lines[0]["peer"]["torch"], &lines[0]["threads"]), (&"2".into(), &2.into()));
    assert!(lines[0]["machine"]["cpu"].is_string() && lines.len() > 7 && lines[1]["what"] == "train, SelfNorm");
    assert_eq!(lines[0]["program"], "given by SNCN_CLASSIFY");
    // a run that fails leaves them as they were, and adds nothing
    fs::remove_file(tree.at("theirs/memory"))?;
    tree.beside(&["--cases", "wrn", "--rounds", "1", "--save"])?.code(1);
    assert_eq!(fs::read_to_string(&files[0])?, text);
    assert_eq!(fs::read_dir(tree.at("results/bench"))?.count(), 3);
    Ok(())
}

#[test]
fn an_interrupt_ends_it_and_keeps_nothing() -> Outcome {
    let tree = Tree::new()?;
    fs::write(tree.at("hang"), "")?;
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["bench", "--cases", "linear", "--save"]).current_dir(tree.folder.path()).env("SNCN_CLASSIFY", "./classify");
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let output = interrupted(child, &tree.at("ready"), "INT")?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted; nothing is kept") && !tree.at("results").exists(), "{said}");
    Ok(())
}

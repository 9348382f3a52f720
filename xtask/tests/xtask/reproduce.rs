//! `cargo xtask reproduce` with a shell script in the place of the program that trains.

use crate::interrupted;
use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Plans what `plan.jsonl` says, notes each command in `log`, and writes results of 40 % for `base` and 30 % for the rest.
/// A file `fail-<row>` makes the training of that row fail; a file `hang` makes training wait for SIGINT.
const SCRIPT: &str = r#"#!/bin/sh
command=$1; shift
while [ $# -gt 0 ]; do
  case $1 in
    --table) table=$2;; --row) row=$2;; --seed) seed=$2;; --run-dir) dir=$2;; --results) results=$2;; --frost-dir) frost=$2;;
    --rows) rows=$2;; --seeds) seeds=$2;; --as) as=$2;;
  esac
  shift 2
done
case $command in
  plan)
    plan=plan.jsonl; [ "$table" = models/adapted.json ] && plan=adapted.jsonl
    grep "\"row\":\"$rows${rows:+\"}" "$plan" | grep "\"seed\":$seeds";;
  train)
    echo "train $row $seed" >> log
    if [ -e "fail-$row" ]; then echo "data set \"s\": no data folder" >&2; exit 1; fi
    if [ -e hang ]; then
      trap 'echo "stopped $row $seed" >> log; exit 130' INT
      echo ready > ready
      while [ -e hang ]; do sleep 0.05; done
    fi
    mkdir -p "$dir"; echo "$row $seed" > "$dir/cell";;
  evaluate)
    asked=$row
    read -r row seed < "$dir/cell"
    if [ -n "$as" ]; then
      echo "evaluate $row $seed as $asked" >> log
      row=$asked
    else
      echo "evaluate $row $seed" >> log
    fi
    value=0.3; [ "$row" = base ] && value=0.4
    note="frost: generated"; [ -n "$frost" ] && note="frost: photographs"
    run=$(cat plan.jsonl adapted.jsonl 2>/dev/null | grep "\"row\":\"$row\",\"seed\":$seed" | sed 's/.*"run"://; s/}$//')
    mkdir -p "$(dirname "$results")"
    {
      echo "{\"format\":1,\"table\":\"$table\",\"row\":\"$row\",\"seed\":$seed,\"run\":$run,\"selection\":\"last\",\"notes\":[\"$note\"]}"
      echo "{\"split\":\"s\",\"metric\":\"error\",\"value\":0.1,\"n\":50}"
      echo "{\"split\":\"s-c/frost/1\",\"metric\":\"error\",\"value\":$value,\"n\":50}"
      echo "{\"complete\":true,\"measurements\":2}"
    } > "$results";;
esac
"#;

/// What else a run needs.
const OTHERS: &str = r#""backbone":"net","batch_size":8,"lr":0.1,"optimizer":{},"schedule":{},"objective":{}"#;

pub(crate) struct Tree {
    folder: tempfile::TempDir,
}

impl Tree {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let tree = Self { folder: tempfile::tempdir()? };
        fs::create_dir_all(tree.at("models"))?;
        fs::create_dir_all(tree.at("data"))?;
        fs::write(tree.at("Cargo.toml"), "[workspace]\n")?;
        fs::write(tree.at("data/s.json"), "{}")?;
        fs::write(tree.at("classify"), SCRIPT)?;
        fs::set_permissions(tree.at("classify"), fs::Permissions::from_mode(0o755))?;
        tree.table(2)?;
        Ok(tree)
    }

    /// Writes the table with that many epochs, and its plan.
    pub(crate) fn table(&self, epochs: u32) -> Outcome {
        let table = format!(
            r#"{{"title":"A title","task":"classify","seeds":[0,1],"select":"last","baseline":"base",
            "defaults":{{"train":"s","test":["s","s-c"],"epochs":{epochs},{OTHERS}}},"runs":[{{"name":"base"}},{{"name":"a/b"}}]}}"#
        );
        fs::write(self.at("models/quick.json"), table)?;
        let cell = |row: &str, seed: u32| {
            format!(
                r#"{{"row":"{row}","seed":{seed},"run":{{"name":"{row}","train":"s","test":["s","s-c"],"epochs":{epochs},{OTHERS},"note":""}}}}"#
            )
        };
        let cells = [cell("base", 0), cell("base", 1), cell("a/b", 0), cell("a/b", 1)];
        fs::write(self.at("plan.jsonl"), cells.join("\n") + "\n")?;
        Ok(())
    }

    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.current_dir(self.folder.path()).env("SNCN_CLASSIFY", self.at("classify")).env_remove("SNCN_DATA").args(arguments);
        command
    }

    pub(crate) fn reproduce(&self, arguments: &[&str]) -> assert_cmd::assert::Assert {
        self.command(&["reproduce", "--table", "quick"]).args(arguments).assert()
    }

    /// The commands since the last look.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.at("log")).unwrap_or_default();
        let _ = fs::remove_file(self.at("log"));
        text.lines().map(str::to_string).collect()
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_default()
    }
}

pub(crate) const ALL: [&str; 8] = [
    "train base 0",
    "evaluate base 0",
    "train base 1",
    "evaluate base 1",
    "train a/b 0",
    "evaluate a/b 0",
    "train a/b 1",
    "evaluate a/b 1",
];

#[test]
fn everything_is_made_once_and_then_there_is_nothing_to_do() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&[]).success().stdout(contains("-10.00 ± 0.00*"));
    assert_eq!(tree.log(), ALL);
    assert!(tree.at("results/quick/a__b/seed-1.jsonl").is_file() && tree.at("runs/quick/a__b/seed-1/cell").is_file());
    let report = tree.read("report/quick.md");
    assert!(report.contains("# A title") && report.contains("(quick.svg)"), "{report}");
    assert!(tree.read("report/quick.svg").starts_with("<svg") && tree.read("report/quick-s-c.svg").starts_with("<svg"));
    assert!(tree.read("report/quick.csv").contains("\nbase,s-c,frost,1,error,2,0.400000,0.000000\n"));
    // these results have neither bins nor counts, as those made before there were any
    assert!(!report.contains("## Calibration") && !report.contains("## Confusion") && !report.contains("## Macro-F1"));
    fs::remove_file(tree.at("report/quick.md"))?;
    tree.reproduce(&[]).success().stderr(contains("nothing to do: all 4 cells are up to date"));
    assert_eq!(tree.log(), [""; 0]);
    assert_eq!(tree.read("report/quick.md"), report);
    tree.command(&["report"]).assert().success().stdout(contains("A title"));
    Ok(())
}

#[test]
fn what_is_missing_damaged_or_of_another_run_is_made_again() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&[]).success();
    tree.log();
    fs::remove_file(tree.at("results/quick/base/seed-1.jsonl"))?;
    let damaged = tree.read("results/quick/a__b/seed-0.jsonl");
    fs::write(tree.at("results/quick/a__b/seed-0.jsonl"), &damaged[..damaged.len() / 2])?;
    tree.reproduce(&[]).success().stderr(contains("base, seed 1: missing").and(contains("a/b, seed 0: damaged")));
    assert_eq!(tree.log(), ALL[2..6]);

    // the checkpoints of the old run are put aside
    let own = r#"{\"format\":1,\"step\":1,\"total\":2,\"run\":{\"run\":{},\"seed\":0},\"classes\":[],\"sha256\":\"\"}"#;
    let header = format!(r#"{{"__metadata__":{{"sncn":"{own}"}}}}"#);
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    fs::write(tree.at("runs/quick/base/seed-0/checkpoint-00000001.safetensors"), bytes)?;
    tree.table(3)?;
    tree.command(&["report"])
        .assert()
        .failure()
        .stderr(contains("made with another \"epochs\"").and(contains("no results of this table")));
    let explained =
        contains("the table has changed: \"epochs\" was 2 and is 3").and(contains("put aside in runs/quick/base/seed-0.old-1"));
    tree.reproduce(&[]).success().stderr(explained);
    assert_eq!(tree.log(), ALL);
    assert!(tree.at("runs/quick/base/seed-0.old-1/cell").is_file());
    Ok(())
}

#[test]
fn generated_frost_is_replaced_by_photographs() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&["--rows", "base"]).success().stderr(contains("[2/2] base"));
    tree.log();
    tree.reproduce(&["--rows", "base", "--frost-dir", "frost"]).success().stderr(contains("its frost was generated"));
    assert_eq!(tree.log().len(), 4);
    tree.reproduce(&["--rows", "base", "--frost-dir", "frost"]).success().stderr(contains("nothing to do"));
    Ok(())
}

/// A table whose rows test what another table's row trains.
#[test]
fn what_rows_of_another_table_test_is_trained_once() -> Outcome {
    let tree = Tree::new()?;
    let trained = r#"{"table":"quick","row":"base"}"#;
    let rows = ["batch", "tent"].map(|kind| format!(r#"{{"name":"{kind}","trained":{trained},"adapt":{{"kind":"{kind}"}}}}"#));
    let table = format!(
        r#"{{"title":"Adapted","task":"classify","seeds":[0],"select":"last","defaults":{{"test":["s","s-c"]}},"runs":[{}]}}"#,
        rows.join(",")
    );
    fs::write(tree.at("models/adapted.json"), table)?;
    let cell = |kind: &str| {
        format!(
            r#"{{"row":"{kind}","seed":0,"run":{{"name":"{kind}","train":"s","test":["s","s-c"],"epochs":2,{OTHERS},"trained":{trained},"adapt":{{"kind":"{kind}","batch_size":200}}}}}}"#
        )
    };
    fs::write(tree.at("adapted.jsonl"), [cell("batch"), cell("tent")].join("\n") + "\n")?;
    let adapted = |arguments: &[&str]| tree.command(&["reproduce", "--table", "adapted"]).args(arguments).assert();
    let lines = contains("sncn-classify train --table models/quick.json --row base --seed 0 --run-dir runs/quick/base/seed-0")
        .and(contains("sncn-classify evaluate --as models/adapted.json --row batch --run-dir runs/quick/base/seed-0"));
    adapted(&["--dry-run"]).success().stdout(lines);
    assert_eq!(tree.log(), [""; 0]);
    fs::write(tree.at("fail-base"), "")?;
    adapted(&[]).code(1).stderr(contains("row \"batch\", seed 0: row \"base\" of models/quick.json: "));
    fs::remove_file(tree.at("fail-base"))?;
    tree.log();
    adapted(&[]).success();
    // the program finds that the training of the second is complete
    assert_eq!(tree.log(), ["train base 0", "evaluate base 0 as batch", "train base 0", "evaluate base 0 as tent"]);
    assert!(tree.at("results/adapted/tent/seed-0.jsonl").is_file() && tree.at("runs/quick/base/seed-0/cell").is_file());
    assert!(!tree.at("runs/adapted").exists() && !tree.at("results/quick").exists());
    let report = tree.read("report/adapted.md");
    assert!(report.contains("## s-c by severity") && report.contains("| severity 1 |"), "{report}");
    adapted(&[]).success().stderr(contains("nothing to do: all 2 cells are up to date"));
    Ok(())
}

#[test]
fn a_failing_cell_is_named_and_what_is_done_is_kept() -> Outcome {
    let tree = Tree::new()?;
    fs::write(tree.at("fail-base"), "")?;
    let message = contains("data set \"s\": no data folder")
        .and(contains("error: row \"base\", seed 0: sncn-classify train --table models/quick.json --row base --seed 0"))
        .and(contains("cargo xtask data fetch s"));
    tree.reproduce(&[]).code(1).stderr(message);
    assert_eq!(tree.log(), ["train base 0"]);
    tree.reproduce(&["--rows", "a/b"]).success();
    tree.log();
    fs::remove_file(tree.at("fail-base"))?;
    tree.reproduce(&[]).success().stderr(contains("2 cells made, 2 were up to date"));
    assert_eq!(tree.log(), ALL[..4]);
    Ok(())
}

#[test]
fn a_dry_run_prints_commands_and_runs_none() -> Outcome {
    let tree = Tree::new()?;
    let line = "sncn-classify train --table models/quick.json --row base --seed 0 --run-dir runs/quick/base/seed-0 --threads 3";
    tree.reproduce(&["--dry-run", "--threads", "3"])
        .success()
        .stdout(contains(line).and(contains("0 cells are up to date, 4 would be made")));
    assert_eq!(tree.log(), [""; 0]);
    assert!(!tree.at("runs").exists() && !tree.at("results").exists() && !tree.at("report").exists());
    Ok(())
}

#[test]
fn an_unknown_table_lists_the_known_ones() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&["--table", "nonesuch"]).code(1).stderr(contains("unknown table \"nonesuch\"; in models/ are: quick"));
    tree.reproduce(&["--table", "models/quick.json", "--dry-run"]).success();
    tree.reproduce(&["--threads", "0"]).code(2);
    Ok(())
}

#[test]
fn an_interrupt_reaches_the_child_once_and_the_same_command_goes_on() -> Outcome {
    for signal in ["INT", "TERM", "USR1"] {
        let tree = Tree::new()?;
        tree.reproduce(&["--rows", "base"]).success();
        tree.log();
        fs::write(tree.at("hang"), "")?;
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(["reproduce", "--table", "quick"]).current_dir(tree.folder.path()).env("SNCN_CLASSIFY", tree.at("classify"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let output = interrupted(child, &tree.at("ready"), signal)?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{said}");
        assert!(
            said.contains("interrupted at [3/4] a/b, seed 0; 2 of 4 cells are done: run the same command to resume"),
            "{said}"
        );
        assert_eq!(tree.log(), ["train a/b 0", "stopped a/b 0"]);
        fs::remove_file(tree.at("hang"))?;
        tree.reproduce(&[]).success().stderr(contains("2 cells made, 2 were up to date"));
        assert_eq!(tree.log(), ALL[4..]);
    }
    Ok(())
}

#[test]
fn without_arguments_a_table_of_every_task_is_made_each_by_its_program() -> Outcome {
    let tree = Tree::new()?;
    for (task, table, metric) in [("segment", "scenes", "miou"), ("sentiment", "reviews", "accuracy")] {
        let title = format!("\"title\":\"{table}\",\"task\":\"{task}\"");
        let text = tree.read("models/quick.json").replace("\"title\":\"A title\",\"task\":\"classify\"", &title);
        fs::write(tree.at(&format!("models/{table}.json")), text)?;
        let script = SCRIPT.replace("\\\"metric\\\":\\\"error\\\"", &format!("\\\"metric\\\":\\\"{metric}\\\""));
        fs::write(tree.at(task), script)?;
        fs::set_permissions(tree.at(task), fs::Permissions::from_mode(0o755))?;
    }
    let all = || {
        let mut command = tree.command(&["reproduce"]);
        command.env("SNCN_SEGMENT", tree.at("segment")).env("SNCN_SENTIMENT", tree.at("sentiment"));
        command
    };
    all().assert().success().stdout(
        contains(
            "Helped, by more than two standard errors against base (error in percentage points, paired by seed): on s-c a/b",
        )
        .and(contains("Helped: nothing by more than two standard errors against base (mIoU in percentage points"))
        .and(contains("Helped: nothing by more than two standard errors against base (accuracy in percentage points")),
    );
    assert_eq!(tree.log(), [ALL, ALL, ALL].concat());
    assert!(
        tree.read("report/scenes.md")
            .contains("## Difference to the baseline\n\nmIoU in percentage points, paired by seed (more than 0")
    );
    all().assert().success().stderr(contains("nothing to do: all 4 cells are up to date"));
    assert_eq!(tree.log(), [""; 0]);
    fs::write(tree.at("models/odd.json"), tree.read("models/quick.json").replace("\"classify\"", "\"odd\""))?;
    let mut odd = tree.command(&["reproduce", "--table", "odd"]);
    odd.assert()
        .failure()
        .stderr(contains("models/odd.json").and(contains("task is \"odd\"; known: classify, segment, sentiment")));
    Ok(())
}

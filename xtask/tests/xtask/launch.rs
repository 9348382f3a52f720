//! Parts of a table, and cells beside each other, with a shell script in the place of the program that trains.

use crate::reproduce::{ALL, Outcome, Tree};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// What was done, in any order.
fn sorted(mut log: Vec<String>) -> Vec<String> {
    log.sort();
    log
}

#[test]
fn cells_beside_each_other_come_to_the_same_as_in_turn() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&["--launcher", "local", "-j", "3"]).success().stdout(contains("-10.00 ± 0.00*"));
    assert_eq!(sorted(tree.log()), sorted(ALL.map(str::to_string).to_vec()));
    assert!(tree.at("runs/quick/logs/a__b-seed-1.log").is_file());
    tree.reproduce(&["--launcher", "local"]).success().stderr(contains("nothing to do: all 4 cells are up to date"));
    tree.reproduce(&["--status"]).success().stdout("models/quick.json: 4 cells: 4 done\n");
    Ok(())
}

#[test]
fn a_cell_that_fails_leaves_the_others_alone_and_is_named() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&["--status"]).success().stdout(contains("[3/4] a/b, seed 0: missing").and(contains("4 cells: 4 missing")));
    fs::write(tree.at("fail-base"), "")?;
    let failed = contains("[1/4] base, seed 0; [2/4] base, seed 1").or(contains("[2/4] base, seed 1; [1/4] base, seed 0"));
    tree.reproduce(&["--launcher", "local"]).code(1).stderr(failed.and(contains("cargo xtask data fetch s")));
    assert!(tree.read("runs/quick/logs/base-seed-1.log").contains("data set \"s\""));
    tree.reproduce(&["--status"]).success().stdout(contains("2 done, 2 failed").and(contains("base, seed 1: failed: error: ")));
    fs::remove_file(tree.at("fail-base"))?;
    tree.reproduce(&["--launcher", "local"]).success().stderr(contains("2 cells made, 2 were up to date"));
    Ok(())
}

#[test]
fn parts_make_all_cells_once() -> Outcome {
    let tree = Tree::new()?;
    tree.reproduce(&["--cell", "3"]).success().stderr(contains("cargo xtask report --table models/quick.json"));
    assert_eq!(tree.log(), ["train a/b 0", "evaluate a/b 0"]);
    let mut of_array = tree.command(&["reproduce", "--table", "quick", "--shard", "2"]);
    of_array.env("JOB_COMPLETION_INDEX", "1").assert().success();
    assert_eq!(tree.log(), ["train base 1", "evaluate base 1", "train a/b 1", "evaluate a/b 1"]);
    tree.reproduce(&["--shard", "1/2"]).success().stderr(contains("[3/4] a/b, seed 0: up to date"));
    assert_eq!(tree.log(), ["train base 0", "evaluate base 0"]);
    tree.reproduce(&["--cell", "5"]).code(1).stderr(contains("the table has cells 1 to 4"));
    tree.reproduce(&["--shard", "0/2"]).code(1).stderr(contains("parts 1 to 2 are accepted"));
    tree.reproduce(&["--cell", "1", "--shard", "1/2"]).code(2);
    let of_slurm = ["--launcher", "local", "--time", "1"];
    tree.reproduce(&of_slurm).code(1).stderr(contains("--time is for --launcher slurm"));
    tree.reproduce(&["--launcher", "slurm", "-j", "2"]).code(1).stderr(contains("--jobs is for --launcher local"));
    tree.reproduce(&["--jobs", "2"]).code(2).stderr(contains("--launcher"));
    tree.command(&["reproduce", "--shard", "1/2"]).assert().code(1).stderr(contains("give --table with one"));
    Ok(())
}

#[test]
fn a_machine_without_slurm_and_a_site_that_refuses_are_told() -> Outcome {
    let tree = Tree::new()?;
    let bin = tree.at("bin");
    fs::create_dir(&bin)?;
    let script = |name: &str, text: &str| -> Outcome {
        fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n"))?;
        Ok(fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755))?)
    };
    let submit = |path: &str| {
        let mut command = tree.command(&["reproduce", "--table", "quick", "--launcher", "slurm", "--partition", "fast"]);
        command.env("PATH", path).assert()
    };
    let plain = "/usr/bin:/bin";
    let empty = tree.at("nothing");
    // the script that plans needs its tools, so a PATH without Slurm is made of links to them
    fs::create_dir(&empty)?;
    for tool in ["sh", "grep", "sed", "cat", "mkdir", "dirname", "sleep"] {
        let found = ["/usr/bin", "/bin"].iter().map(|folder| std::path::Path::new(folder).join(tool)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.ok_or(tool)?, empty.join(tool))?;
    }
    submit(&empty.display().to_string()).code(1).stderr(contains("there is no sbatch here").and(contains("--launcher local")));
    script("scontrol", "echo 'MaxArraySize            = 4'")?;
    script("sbatch", "echo 'sbatch: error: invalid partition specified: fast' >&2; exit 1")?;
    let path = format!("{}:{plain}", bin.display());
    submit(&path).code(1).stderr(contains("array-1.sh: sbatch refuses it").and(contains("invalid partition specified: fast")));
    // four cells in arrays of three tasks at most
    script("sbatch", "cat \"$2\" >> handed; echo 17")?;
    submit(&path).success().stdout(contains("array-2.sh: job 17, 3 tasks").and(contains("array-3.sh: job 17, 1 tasks")));
    let handed = tree.read("handed");
    assert!(
        handed.contains("--array=1-3\n") && handed.contains("--array=1-1\n") && handed.contains("--partition=fast"),
        "{handed}"
    );
    assert!(handed.contains("cells=(none 1 2 3)") && handed.contains("cells=(none 4)"), "{handed}");
    assert!(tree.log().is_empty());
    Ok(())
}

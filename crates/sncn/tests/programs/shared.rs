//! What holds for all programs.

use crate::common::{refused, sncn, table, train};
use sncn_record::Results;
use sncn_text::sentiment::Sentiment;
use sncn_train::checkpoint::newest;
use sncn_train::harness::Task;
use sncn_train::harness::program::helps;
use sncn_vision::classify::Classify;
use sncn_vision::segment::Segment;
use std::process::Command;

#[test]
fn every_help_fits_a_screen() {
    let all = [helps::<Classify>(), helps::<Segment>(), helps::<Sentiment>()].concat();
    assert!(all.len() > 20);
    for (name, help) in all {
        let lines = help.lines().count();
        assert!(lines <= 30, "{name}: {lines} lines\n{help}");
    }
}

#[test]
fn a_program_tells_what_the_machine_has_and_what_shells_need() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = sncn().args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let found = said(&["doctor", "--data-dir", folder.path().to_str().unwrap()]);
    for part in [
        "program     sncn-classify",
        "processor   ",
        "kernels     ",
        "GiB available",
        "shapes        shapes",
        "cifar10       not found: ",
    ] {
        assert!(found.contains(part), "{part:?} is missing in\n{found}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let text = said(&["shell", shell]);
        assert!(text.contains("robustness") && text.contains("fail-below"), "{shell}: {text}");
    }
    let man = folder.path().join("man");
    said(&["shell", "--man", man.to_str().unwrap()]);
    let page = std::fs::read_to_string(man.join("sncn-classify-robustness.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("fail"), "{page}");
    assert!(man.join("sncn-classify.1").is_file());
    let mut command = sncn();
    command.arg("shell");
    command.assert().failure();
}

#[test]
fn every_task_has_a_program_of_its_name() {
    for task in [Classify::INFO, Segment::INFO, Sentiment::INFO] {
        assert_eq!(sncn_record::Task::of(task.name), Ok(task));
        let path = std::path::Path::new(env!("CARGO_BIN_EXE_sncn-classify")).with_file_name(task.program);
        let output = Command::new(path.with_extension(std::env::consts::EXE_EXTENSION)).arg("--help").output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("First steps:"));
    }
}

/// The commit that the program was built from stands in the checkpoint and in the results, wherever it is started.
#[test]
fn the_commit_of_the_build_is_kept() {
    let (folder, path) = table(|row| {
        row["test"] = serde_json::json!(["shapes"]);
        row["epochs"] = serde_json::json!(1);
    });
    let run = folder.path().join("run");
    train(&path, &run).current_dir(folder.path()).assert().success();
    let results = folder.path().join("results.jsonl");
    let mut evaluate = sncn();
    evaluate.current_dir(folder.path()).arg("evaluate").arg("--run-dir").arg(&run).arg("--results").arg(&results);
    evaluate.assert().success();
    let header = Results::parse(&std::fs::read_to_string(&results).unwrap()).unwrap().header;
    let trained = newest(&run).unwrap().unwrap().header.built;
    assert_eq!((&header.trained, &header.built), (&trained, &sncn::built()));
    let commit = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    if let Some(output) = commit.ok().filter(|output| output.status.success()) {
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_string();
        assert_eq!(trained.commit, Some(commit), "the program is of another commit");
    }
}

/// A kernel's closure that the compiler makes a function of its own calls every vector operation in it: WideResNets once trained a third
/// more slowly for that. Of the operations here other crates call none.
#[cfg(target_os = "linux")]
#[test]
fn no_vector_operation_of_a_kernel_is_called_as_a_function() {
    use object::{Object, ObjectSymbol};
    let bytes = std::fs::read(env!("CARGO_BIN_EXE_sncn-classify")).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let names: Vec<&str> = file.symbols().filter_map(|symbol| symbol.name().ok()).collect();
    assert!(names.iter().any(|name| name.contains("sncn_kernels")), "the program has no symbols");
    let operations = ["_mm512_sub_ps", "_mm512_max_ps", "_mm512_min_ps", "_mm256_sub_ps", "_mm256_min_ps"];
    let called: Vec<_> = names.iter().filter(|name| operations.iter().any(|one| name.contains(one))).collect();
    assert!(called.is_empty(), "{called:?}: look for a closure in a kernel, and write it as `each!` of columns.rs or as a loop");
}

/// A disk that is full, say.
#[cfg(target_os = "linux")]
#[test]
fn output_that_is_lost_is_a_failure() {
    let (_folder, path) = table(|_| {});
    for arguments in [&["plan", "--table", path.to_str().unwrap()][..], &["--help"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_sncn-classify")).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.matches("standard output cannot be written").count(), 1, "{text}");
    }
}

#[test]
fn threads_are_bounded() {
    let (folder, path) = table(|row| {
        row["epochs"] = serde_json::json!(1);
        row["train_limit"] = serde_json::json!(32);
    });
    let mut zero = train(&path, &folder.path().join("zero"));
    zero.args(["--threads", "0"]);
    refused(zero, &["--threads is 0; at least 1 is accepted"]);
    let mut many = train(&path, &folder.path().join("many"));
    many.args(["--threads", "100000"]).assert().success().stderr(predicates::str::contains("--threads 100000: this machine has"));
}

/// Two terminals, or two jobs of a cluster: neither disturbs the other, and every file is whole.
#[test]
fn two_programs_at_once_write_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = |x: u32, y: u32| image::Rgb([x as u8 * 9, y as u8 * 9, 77]);
    std::fs::create_dir(folder.path().join("pictures")).unwrap();
    for i in 0..6 {
        image::RgbImage::from_fn(24 + i, 24, pixels).save(folder.path().join(format!("pictures/{i}.png"))).unwrap();
    }
    let twice = |arguments: &[&str]| {
        let start = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_sncn-classify"));
            command.args(arguments).current_dir(folder.path()).stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        for child in [start(), start()] {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    };
    let corrupt = ["corrupt", "--input", "pictures", "--severities", "1", "--corruptions", "fog,contrast,jpeg_compression"];
    twice(&[&corrupt[..], &["--output", "copies"]].concat());
    let copies = ["fog", "contrast", "jpeg_compression"].map(|name| folder.path().join("copies").join(name).join("1"));
    for copy in &copies {
        let names: Vec<_> = std::fs::read_dir(copy).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(names.len(), 6, "{names:?}");
        names.iter().for_each(|name| drop(image::open(name).unwrap()));
    }
}

#[test]
fn what_is_no_run_of_the_program_is_told() {
    let (folder, path) = table(|row| {
        row["epochs"] = serde_json::json!(1);
        row["train_limit"] = serde_json::json!(32);
    });
    let run = folder.path().join("run");
    train(&path, &run).assert().success();
    let predict = |program: &str, run: &std::path::Path| {
        let mut command = assert_cmd::Command::cargo_bin(program).unwrap();
        command.arg("predict").arg("--run-dir").arg(run).args((program != "sncn-sentiment").then_some("a.png"));
        command
    };
    refused(predict("sncn-sentiment", &run), &["run", "a checkpoint of the task \"classify\"", "sncn-classify takes it"]);
    refused(
        predict("sncn-classify", &folder.path().join("nowhere")),
        &["nowhere: no such folder; correct the path, or train first"],
    );
    refused(predict("sncn-classify", &path), &["table.json: a file; --checkpoint takes it"]);
    refused(predict("sncn-classify", folder.path()), &["no checkpoint; train first"]);
}

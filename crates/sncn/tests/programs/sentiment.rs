//! `sncn-sentiment` in sentences: train, resume to the byte, evaluate, predict, and what it says of what does not fit.

use assert_cmd::Command;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use std::fs;
use std::path::{Path, PathBuf};

fn program() -> Command {
    let mut command = Command::cargo_bin("sncn-sentiment").unwrap();
    command.env_remove("SNCN_DATA");
    command
}

/// A table with one row, `defaults` changed by these keys.
fn table(folder: &Path, change: &str) -> PathBuf {
    let text = format!(
        r#"{{"title":"t","task":"sentiment","seeds":[0],"select":"last","defaults":{{"train":"reviews",
        "test":["reviews-films","reviews-kitchen"],"backbone":"convnet16_4","epochs":1,"batch_size":16,"train_limit":160,
        "test_limit":40,"lr":0.01,"optimizer":{{"kind":"adam","betas":[0.9,0.999],"eps":1e-8,"weight_decay":0}},
        "schedule":{{"kind":"constant"}},"objective":{{"kind":"plain"}},
        "input":{{"vocabulary":{{"kind":"words","size":200}},"longest":60}}}},"runs":[{{"name":"one"{change}}}]}}"#
    );
    let path = folder.join("table.json");
    fs::write(&path, text).unwrap();
    path
}

fn train(table: &Path, run_dir: &Path, every: &str) -> Command {
    let mut command = program();
    command.args(["train", "--row", "one", "--seed", "1", "--checkpoint-every", every, "--table"]).arg(table);
    command.arg("--run-dir").arg(run_dir);
    command
}

fn checkpoints(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "safetensors")).collect();
    files.sort();
    files
}

#[test]
fn a_run_is_trained_resumed_to_the_byte_evaluated_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let layers = r#","layers":[{"kind":"crossnorm","at":"embedding","crop":"both"},{"kind":"selfnorm","at":"embedding"}],"mix":{"probability":0.5,"active":1},
        "augment":{"kind":"word_dropout","rate":0.2}"#;
    for (backbone, at) in [("convnet16_4", "embedding"), ("encoder1_16", "sum")] {
        let change = layers.replace("embedding", at) + &format!(r#","backbone":"{backbone}""#);
        let table = table(folder.path(), &change);
        let (whole, parts) = (folder.path().join(format!("{backbone}-whole")), folder.path().join(format!("{backbone}-parts")));
        train(&table, &whole, "100").assert().success().stderr(contains("10 steps"));
        let mut first = train(&table, &parts, "4");
        first.args(["--stop-after", "9"]).assert().code(130).stderr(contains("stopped at step 9 of 10"));
        // as if the machine had gone down after step 9: its checkpoint is lost
        fs::remove_file(checkpoints(&parts).last().unwrap()).unwrap();
        train(&table, &parts, "4").assert().success().stderr(contains("resuming at step 8 of 10"));
        let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
        assert!(last(&whole) == last(&parts), "{backbone}: a resumed run is not the unbroken one");
        // a complete run says so before anything is opened
        let (vocabulary, hidden) = (parts.join("tokenizer.json"), parts.join("hidden.json"));
        fs::rename(&vocabulary, &hidden).unwrap();
        train(&table, &parts, "4").assert().success().stderr(contains("training is complete"));
        fs::rename(&hidden, &vocabulary).unwrap();

        let results = folder.path().join(format!("{backbone}.jsonl"));
        let mut evaluate = program();
        evaluate.args(["evaluate", "--run-dir"]).arg(&parts).arg("--results").arg(&results);
        evaluate.assert().success().stdout(contains("reviews-kitchen").and(contains("accuracy %")));
        let text = fs::read_to_string(&results).unwrap();
        assert!(
            text.contains(r#"{"split":"reviews-films","metric":"accuracy""#) && text.contains(r#""complete":true"#),
            "{text}"
        );

        let mut predict = program();
        predict.args(["predict", "--run-dir"]).arg(&parts).write_stdin("really great\n\n\u{0}\u{fffd} bad\r\n".as_bytes());
        let out = String::from_utf8(predict.assert().success().get_output().stdout.clone()).unwrap();
        let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["text"], &lines[1]["text"]), (3, &"really great".into(), &"".into()));
        assert!(lines.iter().all(|line| ["negative", "positive"].contains(&line["label"].as_str().unwrap())));
    }
}

#[test]
fn own_texts_are_trained_on_and_bad_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir_all(data.join("own")).unwrap();
    let rows: String =
        (0..60).map(|i| format!("{},{}\n", if i % 2 == 0 { "good thing" } else { "bad thing" }, (i + 1) % 2)).collect();
    fs::write(data.join("own/train.csv"), format!("text,label\n{rows}")).unwrap();
    fs::write(data.join("own/test.tsv"), "label\ttext\n1\tgood\n0\t\n").unwrap();
    let table = table(folder.path(), r#","train":"own","test":["own"],"epochs":4"#);
    let run = folder.path().join("run");
    train(&table, &run, "100").arg("--data-dir").arg(&data).assert().success();
    let mut evaluate = program();
    evaluate.args(["evaluate", "--run-dir"]).arg(&run).arg("--data-dir").arg(&data);
    evaluate.assert().success().stdout(contains("own "));

    fs::write(data.join("own/test.tsv"), "label\ttext\n1\tgood\n7\tbad\n").unwrap();
    let mut evaluate = program();
    evaluate.args(["evaluate", "--run-dir"]).arg(&run).arg("--data-dir").arg(&data);
    evaluate.assert().failure().stderr(contains("test.tsv:3: class \"7\" is none of the network's (negative, positive)"));
    fs::remove_file(run.join("tokenizer.json")).unwrap();
    let mut evaluate = program();
    evaluate.args(["evaluate", "--run-dir"]).arg(&run).arg("--data-dir").arg(&data);
    evaluate.assert().failure().stderr(contains("tokenizer.json belongs beside the checkpoint"));
}

#[test]
fn texts_by_their_paths_are_sets_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), r#","train_limit":32"#);
    let run = folder.path().join("run");
    train(&table, &run, "100").assert().success();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let paths = ["a.csv", "b.csv", "other/a.csv"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| fs::write(path, "text,label\ngood,1\nbad,0\n").unwrap());
    let [a, b, same] = paths.each_ref().map(|path| path.to_str().unwrap());
    let evaluate = |test: &str| {
        let mut evaluate = program();
        evaluate.args(["evaluate", "--test", test, "--run-dir"]).arg(&run);
        evaluate.assert()
    };
    let out = String::from_utf8(evaluate(&format!("{a},{b}")).success().get_output().stdout.clone()).unwrap();
    let rows: Vec<&str> = out.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(rows, ["test", "a.csv", "b.csv"], "{out}");
    evaluate(&format!("{a},{same}")).failure().stderr(contains("both called a.csv in results; rename one"));
    evaluate("reviews-films,reviews-films").failure().stderr(contains("both called reviews-films"));
}

#[test]
fn what_does_not_fit_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let said = |change: &str, what: &str| {
        train(&table(folder.path(), change), &run, "100").assert().failure().code(1).stderr(contains(what));
    };
    said(r#","train":"imdbb""#, "unknown set of texts \"imdbb-train\"");
    said(r#","train":"imdb""#, "give --data-dir DIR or set SNCN_DATA");
    said(r#","backbone":"lstm""#, "unknown backbone \"lstm\"; known: convnet<channels>_<filters>[frozen]");
    said(r#","input":{"vocabulary":{"kind":"words","size":200},"longest":2}"#, "input.longest is 2");
    said(r#","input":{"vocabulary":{"kind":"letters"},"longest":20}"#, "letters");
    said(r#","input":null"#, "input is missing");
    said(r#","augment":{"kind":"word_dropout","rate":1}"#, "augment.rate is 1");
    said(r#","backbone":"convnet8_4","norm":{"kind":"batch_norm"}"#, "the backbone \"convnet8_4\" has no norms");
    said(r#","layers":[{"kind":"selfnorm","at":"pre"}]"#, "unknown position \"pre\"");
    said(r#","layers":[{"kind":"selfnorm","at":"embedding","stages":[1]}]"#, "this network has no stages");
    said(r#","backbone":"pretrained""#, "input.pretrained (a folder) and backbone \"pretrained\" go together");
    said(r#","input":{"longest":20}"#, "input.vocabulary is missing");
    said(
        r#","input":{"vocabulary":{"kind":"words","size":200},"longest":60,"vectors":{"kind":"glove","window":0}}"#,
        "window is 0",
    );
    said(r#","mix":{"probability":0.5,"active":1},"layers":[{"kind":"selfnorm","at":"embedding"}]"#, "none of its layers mixes");
    let classify = folder.path().join("classify.json");
    let text = fs::read_to_string(table(folder.path(), "")).unwrap().replace("\"sentiment\"", "\"classify\"");
    fs::write(&classify, text).unwrap();
    train(&classify, &run, "100").assert().failure().stderr(contains("sncn-classify takes this table"));
    program().args(["predict", "--run-dir"]).arg(folder.path()).assert().failure().stderr(contains("no checkpoint"));
    let vocabulary = folder.path().join("tokenizer.json");
    program().args(["vocab", "--train", "reviews", "--size", "300", "--output"]).arg(&vocabulary).assert().success();
    assert!(sncn_text::Vocabulary::read(&vocabulary).unwrap().len() <= 300);
}

#[test]
fn a_convnet_begins_with_word_vectors_and_leaves_frozen_ones_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("vectors.txt"), "good 0.5 1.5 -2\nbad 1 2 3\nunheard 7 7 7\n").unwrap();
    let input =
        r#","input":{"vocabulary":{"kind":"words","size":200},"longest":60,"vectors":{"kind":"file","path":"vectors.txt"}}"#;
    for (name, kept) in [("convnet3_4", false), ("convnet3_4frozen", true)] {
        let change = format!(r#"{input},"backbone":"{name}","clip":1.0,"schedule":{{"kind":"warmup_linear","warmup":0.1}}"#);
        let (table, run) = (table(folder.path(), &change), folder.path().join(name));
        let mut command = train(&table, &run, "100");
        command.arg("--data-dir").arg(folder.path());
        command.assert().success().stderr(contains("2 words of the vocabulary have one"));
        let vocabulary = sncn_text::Vocabulary::read(&run.join("tokenizer.json")).unwrap();
        let exported = folder.path().join("weights.safetensors");
        program().arg("export").arg(checkpoints(&run).last().unwrap()).arg("--output").arg(&exported).assert().success();
        let weights = candle_core::safetensors::load(&exported, &candle_core::Device::Cpu).unwrap();
        let row: Vec<f32> = weights["embedding.weight"].get(vocabulary.id("good").unwrap() as usize).unwrap().to_vec1().unwrap();
        assert_eq!(row == [0.5, 1.5, -2.], kept, "{name}: {row:?}");
    }
    let (table, run) = (table(folder.path(), &format!(r#"{input},"backbone":"encoder1_16""#)), folder.path().join("run"));
    let mut command = train(&table, &run, "100");
    command.arg("--data-dir").arg(folder.path()).assert().failure().stderr(contains("only a convnet begins with word vectors"));
}

#[test]
fn a_run_stops_early_and_is_used_at_its_best() {
    let folder = tempfile::tempdir().unwrap();
    let change = r#","epochs":12,"lr":0.02,"early_stopping":{"patience":2},"layers":[{"kind":"selfnorm","at":"embedding"}]"#;
    let table = table(folder.path(), change);
    let text = fs::read_to_string(&table).unwrap();
    let run = folder.path().join("run");
    train(&table, &run, "7").assert().failure().stderr(contains("early_stopping goes with select \"validation\""));
    fs::write(&table, text.replace(r#""select":"last""#, r#""select":"validation""#)).unwrap();
    train(&table, &run, "7").assert().success().stderr(contains("on the validation set is epoch"));
    let read = |path: &Path| sncn_train::checkpoint::Checkpoint::read(path).unwrap().header;
    let last = read(checkpoints(&run).iter().rfind(|path| path.to_string_lossy().contains("checkpoint-")).unwrap());
    let best = last.validation.iter().map(|one| one.score).fold(0., f64::max);
    let first = last.validation.iter().find(|one| one.score == best).unwrap();
    assert!(last.step < 120 && last.step == first.step + 20, "{:?}", last.validation);
    assert_eq!((read(&run.join("selected.safetensors")).step, last.total), (first.step, last.step));
    train(&table, &run, "7").assert().success().stderr(contains("training is complete"));
    let results = folder.path().join("results.jsonl");
    let mut evaluate = program();
    evaluate.args(["evaluate", "--test", "reviews-validation", "--run-dir"]).arg(&run).arg("--results").arg(&results);
    evaluate.assert().success().stderr(contains("warning").not());
    assert!(fs::read_to_string(&results).unwrap().contains(r#""selection":"validation""#));

    let page = folder.path().join("gates.html");
    let mut show = program();
    show.args(["show", "--run-dir"]).arg(&run).arg("--output").arg(&page).write_stdin("a <great> film\n\n");
    show.assert().success().stdout(contains("2 texts"));
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("<h2>Text 2: ") && html.contains("embedding <small>on average") && !html.contains("<great>"), "{html}");
    fs::remove_file(&page).unwrap();
    let mut show = program();
    show.args(["show", "--run-dir"]).arg(&run).arg("--output").arg(&page).write_stdin("");
    show.assert().failure().stderr(contains("no text"));
    assert!(!page.exists());
}

#[test]
fn strange_texts_have_a_treatment() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(folder.path(), r#","backbone":"encoder1_16","train_limit":32"#);
    let run = folder.path().join("run");
    train(&table, &run, "100").assert().success();
    let mut lines = b"\xfd\xfc broken\n\n\x00\n".to_vec();
    lines.extend("word ".repeat(100_000).bytes());
    let mut predict = program();
    predict.args(["predict", "--run-dir"]).arg(&run).write_stdin(lines);
    let out = String::from_utf8(predict.assert().success().get_output().stdout.clone()).unwrap();
    let sums = out.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["probabilities"].as_object().unwrap().values().map(|p| p.as_f64().unwrap()).sum::<f64>()
    });
    let sums: Vec<f64> = sums.collect();
    assert!(sums.len() == 4 && sums.iter().all(|sum| (sum - 1.).abs() < 1e-3), "{sums:?}");
    let mut show = program();
    show.args(["show", "--run-dir"]).arg(&run).write_stdin("a");
    show.assert().failure().stderr(contains("has no selfnorm layer"));
    // a vocabulary of another size than the weights
    program()
        .args(["vocab", "--train", "reviews", "--size", "50", "--output"])
        .arg(run.join("tokenizer.json"))
        .assert()
        .success();
    program()
        .args(["predict", "--run-dir"])
        .arg(&run)
        .write_stdin("a")
        .assert()
        .failure()
        .stderr(contains("word_embeddings.weight"));
}

#[test]
fn texts_without_labels_are_trained_on_and_a_resumed_run_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let semi = r#","objective":{"kind":"fixmatch","ratio":2,"threshold":0.6},"augment":{"kind":"fixmatch","rate":0.1,"severity":2},
        "labels":20,"batch_size":8,"steps_per_epoch":6,"ema":{"decay":0.9},
        "layers":[{"kind":"crossnorm","at":"AT","crop":"both"},{"kind":"selfnorm","at":"AT"}],"mix":{"probability":0.5,"active":1}"#;
    for (backbone, at) in [("convnet16_4", "embedding"), ("encoder1_16", "sum")] {
        let change = semi.replace("AT", at) + &format!(r#","backbone":"{backbone}""#);
        let table = table(folder.path(), &change);
        let (whole, parts) = (folder.path().join(format!("{backbone}-whole")), folder.path().join(format!("{backbone}-parts")));
        let said = train(&table, &whole, "100").assert().success();
        said.stderr(contains("20 of 160 with labels").and(contains("6 steps")).and(contains("pseudo labels")));
        train(&table, &parts, "4").args(["--stop-after", "5"]).assert().code(130);
        train(&table, &parts, "4").assert().success().stderr(contains("resuming at step 5 of 6"));
        let last = |folder: &Path| fs::read(checkpoints(folder).last().unwrap()).unwrap();
        assert!(last(&whole) == last(&parts), "{backbone}: a resumed run is not the unbroken one");
    }
    let refused = |from: &str, to: &str, words: &str| {
        assert!(semi.contains(from));
        let table = table(folder.path(), &semi.replace(from, to).replace("AT", "embedding"));
        train(&table, &folder.path().join("none"), "4").assert().failure().code(1).stderr(contains(words));
    };
    let augment = r#"{"kind":"fixmatch","rate":0.1,"severity":2}"#;
    let one = "the objective takes 2 view(s) of a text, augment gives 1";
    refused(augment, r#"{"kind":"word_dropout","rate":0.1}"#, one);
    refused(augment, r#"{"kind":"fixmatch","severity":6}"#, "augment.severity is 6; 1 to 5 is accepted");
    refused(augment, r#"{"kind":"fixmatch","rate":1}"#, "augment.rate is 1; 0 or more and less than 1 is accepted");
    refused(r#""labels":20"#, r#""labels":21"#, "labels is 21; a multiple of the 2 classes is accepted");
}

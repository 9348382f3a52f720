//! `sncn-classify import` and `export` in sentences: weights of other programs in, and out again.

use crate::common::{checkpoints, refused, sncn, table, train};
use assert_cmd::Command;
use candle_core::{DType, Device, Tensor};
use predicates::prelude::*;
use predicates::str::contains;
use sncn_core::{Seed, Vars};
use sncn_golden::Index;
use sncn_vision::backbone::{Blueprint, build};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

type Tensors = HashMap<String, Tensor>;

const SELFNORM: &str = r#"[{"kind": "selfnorm", "at": "post"}]"#;

fn import(file: &Path, output: &Path, arguments: &[&str]) -> Command {
    let mut command = sncn();
    command.arg("import").arg(file).arg("--output").arg(output).args(arguments);
    command
}

/// The weights of a network with that seed.
fn weights(backbone: &str, classes: usize, layers: &str) -> Tensors {
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    let layers: Vec<_> = serde_json::from_str(layers).unwrap();
    build(backbone, &Blueprint { classes, layers: (&layers).into(), vars: &vars }).unwrap();
    vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect()
}

/// An open folder and a safetensors file of these tensors in it.
fn saved(tensors: &Tensors) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("theirs.safetensors");
    candle_core::safetensors::save(tensors, &file).unwrap();
    (folder, file)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn weights_come_in_are_used_and_go_out_unchanged() {
    let mut theirs = weights("wrn10_1", 10, SELFNORM);
    let wrapped: Tensors = theirs.iter().map(|(name, tensor)| (format!("module.{name}"), tensor.clone())).collect();
    let (folder, file) = saved(&wrapped);
    let (model, out) = (folder.path().join("model.safetensors"), folder.path().join("out.safetensors"));
    import(&file, &model, &["--backbone", "wrn10_1", "--layers", SELFNORM, "--train", "shapes", "--classes", "10"])
        .assert()
        .success()
        .stdout(contains("renamed    fc.weight [10, 64] from module.fc.weight").and(contains("10 classes")));
    let picture = folder.path().join("a.png");
    image::RgbImage::new(32, 32).save(&picture).unwrap();
    sncn().args(["predict", "--checkpoint"]).arg(&model).arg(&picture).assert().success().stdout(contains("a.png: "));
    let mut export = sncn();
    export.arg("export").arg(&model).arg("--output").arg(&out).assert().success().stdout(contains("tensors"));
    let exported = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
    assert_eq!(exported.len(), theirs.len());
    for (name, tensor) in &exported {
        let original = theirs.remove(name).unwrap();
        assert_eq!((tensor.dims(), tensor.dtype()), (original.dims(), original.dtype()), "{name}");
        assert_eq!(values(tensor), values(&original), "{name}");
    }
    let mut same = sncn();
    same.arg("export").arg(&out).arg("--output").arg(&out);
    refused(same, &["out.safetensors", "another name"]);
    // what was exported comes in again as it was
    let again = folder.path().join("again.safetensors");
    import(&out, &again, &["--backbone", "wrn10_1", "--layers", SELFNORM, "--train", "shapes"]).assert().success();
    assert_eq!(fs::read(&model).unwrap(), fs::read(&again).unwrap());
}

#[test]
fn a_norm_is_kept_by_checkpoints_and_exported_files() {
    let (folder, path) = table(|row| {
        row["norm"] = serde_json::json!({"kind": "group_norm", "groups": 4});
        (row["layers"], row["mix"]) = (serde_json::json!([]), serde_json::Value::Null);
    });
    let at = |name: &str| folder.path().join(name);
    train(&path, &at("run")).assert().success();
    sncn().args(["evaluate", "--run-dir"]).arg(at("run")).assert().success().stdout(contains("shapes"));
    let picture = at("a.png");
    image::RgbImage::new(32, 32).save(&picture).unwrap();
    let trained = checkpoints(&at("run")).pop().unwrap();
    let predict = |model: &Path| {
        let output = sncn().args(["predict", "--checkpoint"]).arg(model).arg(&picture).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    sncn().arg("export").arg(&trained).arg("--output").arg(at("out.safetensors")).assert().success();
    let exported = candle_core::safetensors::load(at("out.safetensors"), &Device::Cpu).unwrap();
    assert!(exported.contains_key("block1.layer.0.bn1.weight") && exported.keys().all(|name| !name.contains("running")));
    // the file notes its norm
    import(&at("out.safetensors"), &at("again.safetensors"), &["--backbone", "wrn10_1", "--train", "shapes"]).assert().success();
    assert_eq!(predict(&at("again.safetensors")), predict(&trained));
    // one that does not is told; otherwise running statistics are missed
    candle_core::safetensors::save(&exported, at("bare.safetensors")).unwrap();
    let bare = |more: &[&str]| {
        let arguments = [&["--backbone", "wrn10_1", "--train", "shapes"][..], more].concat();
        import(&at("bare.safetensors"), &at("bare-model.safetensors"), &arguments)
    };
    refused(bare(&[]), &["running_mean", "missing"]);
    refused(bare(&["--norm", r#"{"kind": "se"}"#]), &["--norm", "se", "no norm"]);
    refused(bare(&["--norm", "group_norm"]), &["--norm", "JSON"]);
    bare(&["--norm", r#"{"kind": "group_norm", "groups": 4}"#]).assert().success();
    assert_eq!(predict(&at("bare-model.safetensors")), predict(&trained));
}

#[test]
fn evaluate_takes_imported_weights() {
    let (folder, file) = saved(&weights("wrn10_1", 10, "[]"));
    let table = serde_json::json!({"title": "t", "task": "classify", "seeds": [0], "select": "last", "runs": [{
        "name": "plain", "train": "shapes", "test": ["shapes"], "backbone": "wrn10_1", "epochs": 1, "batch_size": 16, "lr": 0.1,
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": true, "weight_decay": 0.0005},
        "schedule": {"kind": "constant"}, "objective": {"kind": "plain"}, "test_limit": 20}]});
    let (path, model) = (folder.path().join("table.json"), folder.path().join("model.safetensors"));
    fs::write(&path, table.to_string()).unwrap();
    import(&file, &model, &["--table", path.to_str().unwrap(), "--row", "plain"]).assert().success();
    sncn().args(["evaluate", "--checkpoint"]).arg(&model).assert().success().stdout(contains("shapes"));
    refused(import(&file, &model, &["--table", path.to_str().unwrap(), "--row", "other"]), &["table.json", "other", "plain"]);
}

#[test]
fn exported_names_and_shapes_are_those_of_the_published_networks() {
    let index = Index::load("nets").unwrap();
    let cases = index.cases().unwrap();
    for (case, backbone, layers) in [
        ("wrn40_2_plain", "wrn40_2", "[]"),
        ("wrn40_2_post", "wrn40_2", SELFNORM),
        ("allconv_pos2", "allconv", r#"[{"kind": "selfnorm", "at": "norm"}]"#),
    ] {
        let case = cases.iter().find(|known| known.id == case).unwrap();
        let state = case.params["state"].as_array().unwrap();
        let shape = |entry: &serde_json::Value| -> Vec<usize> {
            entry["shape"].as_array().unwrap().iter().map(|extent| extent.as_u64().unwrap() as usize).collect()
        };
        let theirs: Tensors = state
            .iter()
            .map(|entry| {
                let dtype = if entry["name"].as_str().unwrap().ends_with("tracked") { DType::I64 } else { DType::F32 };
                (entry["name"].as_str().unwrap().to_string(), Tensor::ones(shape(entry), dtype, &Device::Cpu).unwrap())
            })
            .collect();
        let (folder, file) = saved(&theirs);
        let (model, out) = (folder.path().join("model.safetensors"), folder.path().join("out.safetensors"));
        import(&file, &model, &["--backbone", backbone, "--layers", layers]).assert().success();
        sncn().arg("export").arg(&model).arg("--output").arg(&out).assert().success();
        let exported = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
        assert_eq!(exported.len(), state.len(), "{}", case.id);
        for entry in state {
            let tensor = &exported[entry["name"].as_str().unwrap()];
            assert_eq!(tensor.dims(), shape(entry), "{}: {}", case.id, entry["name"]);
            assert!(values(tensor).iter().all(|&value| value == 1.), "{}: {}", case.id, entry["name"]);
        }
    }
}

#[test]
fn weights_that_do_not_fit_leave_no_file() {
    let good = weights("wrn10_1", 10, "[]");
    let changed = |change: &dyn Fn(&mut Tensors), arguments: &[&str], words: &[&str], listed: &str| {
        let mut tensors = good.clone();
        change(&mut tensors);
        let (folder, file) = saved(&tensors);
        let model = folder.path().join("model.safetensors");
        let mut command = import(&file, &model, &[&["--backbone", "wrn10_1"], arguments].concat());
        assert!(String::from_utf8_lossy(&command.output().unwrap().stdout).contains(listed), "{listed}");
        refused(command, &[&["theirs.safetensors"], words].concat());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
    };
    let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap();
    let nothing = |_: &mut Tensors| {};
    changed(&|t| drop(t.remove("conv1.weight")), &[], &["conv1.weight is missing", "--backbone"], "missing    conv1.weight");
    changed(&|t| drop(t.insert("bn1.bias".into(), ones(&[3]))), &[], &["bn1.bias", "[3]"], "mismatch   bn1.bias [3]");
    changed(&|t| drop(t.remove("fc.weight")), &[], &["no fc.weight", "another network"], "");
    changed(&|t| drop(t.insert("module.bn1.bias".into(), ones(&[64]))), &[], &["both named bn1.bias"], "");
    changed(
        &nothing,
        &["--layers", SELFNORM],
        &["are missing", "--layers"],
        "missing    block1.layer.0.cnsn.selfnorm.g_fc.weight",
    );
    changed(&nothing, &["--classes", "7"], &["10 classes", "--classes is 7"], "");
    changed(&|t| drop(t.insert("fc.weight".into(), ones(&[9, 64]))), &["--train", "shapes"], &["9 classes", "shapes has 10"], "");
    let (folder, file) = saved(&good);
    let model = folder.path().join("model.safetensors");
    refused(import(&file, &model, &["--backbone", "wrn16_1"]), &["are missing", "--backbone"]);
    refused(import(&file, &model, &["--backbone", "vgg"]), &["vgg", "allconv"]);
    refused(import(&file, &model, &["--backbone", "wrn10_1", "--train", "mnist"]), &["mnist", "cifar10"]);
    refused(import(&file, &model, &["--backbone", "wrn10_1", "--layers", "selfnorm"]), &["--layers", "JSON"]);
    refused(import(&file, &model, &["--backbone", "wrn10_1", "--layers", r#"[{"kind": "selfnorm"}]"#]), &["--layers", "at"]);
    refused(import(&file, &folder.path().join("theirs.safetensors"), &["--backbone", "wrn10_1"]), &["another name"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
}

#[test]
fn counters_may_be_absent_and_what_is_surplus_is_named() {
    let mut tensors = weights("wrn10_1", 3, "[]");
    tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
    tensors.insert("extra".into(), Tensor::ones(2, DType::F64, &Device::Cpu).unwrap());
    let (folder, file) = saved(&tensors);
    import(&file, &folder.path().join("model.safetensors"), &["--backbone", "wrn10_1"])
        .assert()
        .success()
        .stdout(contains("absent     bn1.num_batches_tracked").and(contains("surplus    extra [2]")))
        .stdout(contains("numbered 0 to 2").and(contains("matched    conv1.weight")));
}

#[test]
fn files_of_torch_save_are_read_and_damaged_ones_explained() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-weights/tests/data");
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let arguments = ["--backbone", "wrn10_1"];
    for (file, words) in [("nested.pth", ["module.0.weight", "another network"]), ("legacy.pth", ["slice", "another network"])] {
        refused(import(&data.join(file), &model, &arguments), &[&[file], words.as_slice()].concat());
    }
    let cut = folder.path().join("cut.pth");
    for (file, word) in [("zip.pth", "zip archive"), ("legacy.pth", "truncated")] {
        let bytes = fs::read(data.join(file)).unwrap();
        fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
        refused(import(&cut, &model, &arguments), &["cut.pth", word]);
    }
    fs::write(&cut, "no weights").unwrap();
    refused(import(&cut, &model, &arguments), &["cut.pth", "torch.save"]);
    refused(import(&folder.path().join("none.pth"), &model, &arguments), &["none.pth", "not readable"]);
    assert!(!model.exists());
}

//! Weights of other programs in sentences: wherever they put them and whatever they named them, or what they are and what to do.

use crate::common::{refused, segment, sentiment, sncn};
use assert_cmd::Command;
use candle_core::{DType, Device, Tensor};
use predicates::prelude::*;
use predicates::str::contains;
use sncn_core::{Seed, Vars};
use sncn_vision::backbone::{Blueprint, build};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

type Tensors = HashMap<String, Tensor>;

/// The weights of a small network.
fn weights(seed: u64) -> Tensors {
    let vars = Vars::new(Seed::new(seed), DType::F32, &Device::Cpu);
    build("wrn10_1", &Blueprint { classes: 3, layers: (&Vec::new()).into(), vars: &vars }).unwrap();
    vars.all().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect()
}

fn prefixed(tensors: &Tensors, prefix: &str) -> Tensors {
    tensors.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone())).collect()
}

fn save(tensors: &Tensors, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    candle_core::safetensors::save(tensors, path).unwrap();
}

fn import(file: &Path, output: &Path, arguments: &[&str]) -> Command {
    let mut command = sncn();
    command.arg("import").arg(file).args(["--backbone", "wrn10_1", "--output"]).arg(output).args(arguments);
    command
}

#[test]
fn any_name_prefix_and_layout_gives_the_same_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (plain, one, other) = (at("plain.safetensors"), weights(1), weights(2));
    save(&one, &at("theirs.bin"));
    import(&at("theirs.bin"), &plain, &[]).assert().success();
    let same = |file: &str, arguments: &[&str], said: &str| {
        let output = at("again.safetensors");
        import(&at(file), &output, arguments).assert().success().stdout(contains(said));
        assert_eq!(fs::read(&plain).unwrap(), fs::read(&output).unwrap(), "{file}");
    };
    save(&prefixed(&one, "_orig_mod.module."), &at("wrapped.pth"));
    same("wrapped.pth", &[], "renamed    fc.weight [3, 64] from _orig_mod.module.fc.weight");
    save(&prefixed(&one, "model."), &at("lightning.ckpt"));
    same("lightning.ckpt", &[], "found in the file itself, names that begin with model. (46 of 46 names)");
    let mut both = prefixed(&one, "student.");
    both.extend(prefixed(&other, "teacher."));
    save(&both, &at("both.pt"));
    same("both.pt", &[], "also there, chosen by --key: the file itself, names that begin with teacher. (46 of 46 names)");
    same("both.pt", &["--key", "student"], "matched    fc.weight");
    refused(
        import(&at("both.pt"), &at("no"), &["--key", "nobody"]),
        &["both.pt", "--key", "no tensors under \"nobody\"", "92 tensors"],
    );
    // a folder, and several files with an index
    save(&one, &at("folder/model.safetensors"));
    same("folder", &[], "matched    fc.weight");
    let (first, second): (Tensors, Tensors) =
        one.iter().map(|(n, t)| (n.clone(), t.clone())).partition(|(name, _)| name < &"c".to_string());
    let place = |name: &String| if first.contains_key(name) { "m-1.safetensors" } else { "m-2.safetensors" };
    let map: serde_json::Map<_, _> = one.keys().map(|name| (name.clone(), place(name).into())).collect();
    save(&first, &at("parts/m-1.safetensors"));
    save(&second, &at("parts/m-2.safetensors"));
    fs::write(at("parts/model.safetensors.index.json"), serde_json::json!({"weight_map": map}).to_string()).unwrap();
    same("parts", &[], "matched    fc.weight");
    same("parts/model.safetensors.index.json", &[], "matched    fc.weight");
    fs::remove_file(at("parts/m-2.safetensors")).unwrap();
    refused(import(&at("parts"), &at("no"), &[]), &["index.json", "missing: 1 of the 2 files", "m-2.safetensors"]);
    assert!(!at("no").exists());
}

#[test]
fn what_pytorch_wrote_beside_a_state_dict_does_not_matter() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-weights/tests/data");
    let folder = tempfile::tempdir().unwrap();
    for (file, listed) in
        [("values.pth", "state_dict (8 tensors: "), ("module.pth", "(8 tensors: "), ("script.pt", "(8 tensors: ")]
    {
        // its classifier has the names of the network's, the rest is another network's
        refused(import(&data.join(file), &folder.path().join("no"), &[]), &[file, "38 of 46 variables are missing"]);
        refused(import(&data.join(file), &folder.path().join("no"), &["--key", "nothing"]), &[file, "no tensors under", listed]);
    }
}

#[test]
fn what_is_no_checkpoint_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sncn-weights/tests/data");
    fs::copy(data.join("zip.pth"), at("theirs.pth")).unwrap();
    fs::copy(data.join("legacy.pth"), at("older.pth")).unwrap();
    save(&weights(1), &at("theirs.safetensors"));
    image::RgbImage::new(4, 4).save(at("photo.png")).unwrap();
    fs::write(at("pointer.safetensors"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n").unwrap();
    let cases = [
        ("theirs.pth", "a file of torch.save"),
        ("older.pth", "a file of torch.save"),
        ("theirs.safetensors", "a safetensors file without a run in it"),
        ("photo.png", "a picture (PNG)"),
        ("pointer.safetensors", "a Git LFS pointer to a file of 12 bytes"),
        ("", "a folder"),
    ];
    for (file, what) in cases {
        for mut command in [sncn(), segment(), sentiment()] {
            command.args(["evaluate", "--checkpoint"]).arg(at(file));
            refused(
                command,
                &[what, "not a checkpoint", "sncn-classify import FILE --backbone", "sncn-sentiment takes a folder"],
            );
        }
    }
    let mut export = sncn();
    export.arg("export").arg(at("theirs.pth")).arg("--output").arg(at("out"));
    refused(export, &["theirs.pth", "a file of torch.save"]);
    sncn()
        .args(["evaluate", "--checkpoint"])
        .arg(at("none"))
        .assert()
        .failure()
        .stderr(contains("not readable").and(contains("none")));
}

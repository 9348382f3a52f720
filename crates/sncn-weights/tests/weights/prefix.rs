//! What wrappers and programs put before names.

use super::*;

fn of(make: impl FnOnce(&mut Saved) -> Vec<u8>, key: Option<&str>) -> Result<(f32, Vec<String>), WeightsError> {
    let mut saved = Saved::default();
    let object = make(&mut saved);
    loaded(&Weights::read(saved.file(&object)).unwrap(), key)
}

#[test]
fn prefixes_are_left_out_in_any_order() {
    for prefix in [
        "module.",
        "_orig_mod.",
        "module._orig_mod.",
        "_orig_mod.module.",
        "model.",
        "net.",
        "backbone.",
        "encoder.",
        "network.",
        "model.module.",
        "1.",
        "my_net.",
        "module.1.",
        "module.model._orig_mod.net.",
    ] {
        let (value, lines) = of(|saved| saved.state(prefix, 2.), None).unwrap();
        assert_eq!(value, 2., "{prefix}");
        assert!(lines.iter().any(|line| line.starts_with(&format!("renamed fc.bias [2] from {prefix}fc.bias"))), "{lines:?}");
        assert_eq!(loaded(&Weights::read(safetensors(prefix, 3.)).unwrap(), None).unwrap().0, 3., "{prefix}");
    }
}

#[test]
fn wrappers_inside_names_and_heads_without_the_prefix_are_understood() {
    let names = |names: [&'static str; 3]| {
        move |saved: &mut Saved| {
            let tensors = NAMES.map(|(_, shape)| saved.tensor(shape, 2.));
            dict(&names.into_iter().zip(tensors).collect::<Vec<_>>())
        }
    };
    for case in [
        ["block._orig_mod.0.conv.weight", "fc.weight", "fc.bias"],
        ["block.module.0._fsdp_wrapped_module.conv.weight", "fc.weight", "fc.bias"],
        ["backbone.block.0.conv.weight", "fc.weight", "fc.bias"],
    ] {
        assert_eq!(of(names(case), None).unwrap().0, 2., "{case:?}");
    }
}

#[test]
fn names_of_the_network_that_begin_like_a_prefix_stay() {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    for name in ["embeddings.weight", "encoder.layer.0.weight", "encoder.layer.1.weight", "model.weight"] {
        drop(vars.builder().get(1, name).unwrap());
    }
    let names: Vec<String> = vars.all().into_iter().map(|(name, _)| name).collect();
    let rename = |name: &str| name.strip_prefix("bert.").unwrap_or(name).to_string();
    let map = NameMap { rename: &rename, keep_initial: &|_| false };
    for prefix in ["", "bert.", "module.bert.", "model.", "model.bert.", "_orig_mod."] {
        let mut saved = Saved::default();
        let pairs: Vec<_> = names.iter().map(|name| (format!("{prefix}{name}"), saved.tensor(&[1], 2.))).collect();
        let object = dict(&pairs.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect::<Vec<_>>());
        let weights = Weights::read(saved.file(&object)).unwrap();
        let mut outcomes = Vec::new();
        weights.find(&names, &map, None).unwrap().load(&vars, |outcome, _, _| outcomes.push(outcome)).unwrap();
        let want = if prefix.is_empty() { Outcome::Matched } else { Outcome::Renamed };
        assert_eq!(outcomes, [want; 4], "{prefix}");
    }
}

#[test]
fn two_networks_in_one_dictionary_are_told_apart_by_the_key_and_one_name_twice_is_an_error() {
    let joined = |saved: &mut Saved, begin: [&str; 2]| {
        let mut all = saved.state(begin[0], 1.);
        let second = saved.state(begin[1], 2.);
        all.extend(&second[1..]);
        all
    };
    let (value, lines) = of(|saved| joined(saved, ["student.", "teacher."]), None).unwrap();
    assert_eq!(value, 1.);
    assert_eq!(lines[0], "the file itself, names that begin with student. (3 of 3 names)");
    assert_eq!(lines[1], "the file itself, names that begin with teacher. (3 of 3 names)");
    assert_eq!(of(|saved| joined(saved, ["student.", "teacher."]), Some("teacher")).unwrap().0, 2.);
    let nested = |saved: &mut Saved| dict(&[("state_dict", joined(saved, ["", "unheard_of."]))]);
    for (key, want) in [(None, 1.), (Some("unheard_of"), 2.), (Some("state_dict.unheard_of"), 2.)] {
        assert_eq!(of(nested, key).unwrap().0, want, "{key:?}");
    }
    refused(
        of(|saved| joined(saved, ["", "module."]), None),
        &["block.0.conv.weight and module.block.0.conv.weight are both named"],
    );
}

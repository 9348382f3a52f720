//! The dictionary that is found: at any depth, beside anything, the one with most names.

use super::*;

/// The outcome for a file whose object is made by `make`.
fn of(make: impl FnOnce(&mut Saved) -> Vec<u8>) -> Result<(f32, Vec<String>), WeightsError> {
    keyed(None, make)
}

fn keyed(key: Option<&str>, make: impl FnOnce(&mut Saved) -> Vec<u8>) -> Result<(f32, Vec<String>), WeightsError> {
    let mut saved = Saved::default();
    let object = make(&mut saved);
    loaded(&Weights::read(saved.file(&object)).unwrap(), key)
}

#[test]
fn state_dicts_are_found_under_any_key_and_at_any_depth() {
    for key in ["state_dict", "model", "net", "model_state_dict", "state_dict_ema", "ema", "params", "network", "anything"] {
        let (value, lines) = of(|saved| dict(&[("epoch", b"K\x03".to_vec()), (key, saved.state("", 2.))])).unwrap();
        assert_eq!((value, lines.len()), (2., 3), "{key}");
    }
    assert_eq!(of(|saved| saved.state("", 2.)).unwrap().0, 2.);
    assert_eq!(of(|saved| dict(&[("model_ema", dict(&[("module", saved.state("", 3.))]))])).unwrap().0, 3.);
    // in a tuple, in a list in it, as attribute of an object, of one with slots, in an OrderedDict of Python 2
    assert_eq!(of(|saved| [b"(".to_vec(), saved.state("", 4.), b"K\x01t".to_vec()].concat()).unwrap().0, 4.);
    assert_eq!(of(|saved| [b"](K\x01".to_vec(), saved.state("", 5.), b"e".to_vec()].concat()).unwrap().0, 5.);
    assert_eq!(of(|saved| object("State", &dict(&[("weights", saved.state("", 6.))]))).unwrap().0, 6.);
    let slots = |saved: &mut Saved| {
        object("State", &[b"N".to_vec(), dict(&[("weights", saved.state("", 7.))]), b"\x86".to_vec()].concat())
    };
    assert_eq!(of(slots).unwrap().0, 7.);
    let ordered = |saved: &mut Saved| {
        let tensors: Vec<Vec<u8>> = NAMES.iter().map(|(_, shape)| saved.tensor(shape, 8.)).collect();
        let pair = |(name, tensor): (&str, &Vec<u8>)| [b"](".to_vec(), text(name), tensor.clone(), b"ea".to_vec()].concat();
        let pairs: Vec<u8> = NAMES.iter().map(|(name, _)| *name).zip(&tensors).flat_map(pair).collect();
        [b"ccollections\nOrderedDict\n]".to_vec(), pairs, b"\x85R".to_vec()].concat()
    };
    assert_eq!(of(ordered).unwrap().0, 8.);
}

#[test]
fn tensors_beside_a_state_dict_do_not_hide_it() {
    let beside = |name: &'static str| {
        move |saved: &mut Saved| dict(&[(name, saved.tensor(&[1], 93.)), ("state_dict", saved.state("", 2.))])
    };
    for name in ["best_acc1", "rng_state", "class_weights", "mean", "a.b"] {
        assert_eq!(of(beside(name)).unwrap().0, 2., "{name}");
    }
}

#[test]
fn the_best_match_wins_then_the_first_and_a_key_names_another() {
    let two = |saved: &mut Saved| dict(&[("state_dict", saved.state("", 1.)), ("state_dict_ema", saved.state("module.", 2.))]);
    let (value, lines) = of(two).unwrap();
    assert_eq!(value, 1.);
    assert_eq!(lines[..2], ["state_dict (3 of 3 names)", "state_dict_ema (3 of 3 names)"]);
    assert_eq!(keyed(Some("state_dict_ema"), two).unwrap().0, 2.);
    let part = |saved: &mut Saved| {
        let head = saved.tensor(&[2], 1.);
        dict(&[("head", dict(&[("fc.bias", head)])), ("ema", dict(&[("module", saved.state("", 2.))]))])
    };
    assert_eq!(of(part).unwrap().0, 2.);
    for key in ["ema", "ema.module"] {
        assert_eq!(keyed(Some(key), part).unwrap().0, 2., "{key}");
    }
    refused(keyed(Some("head"), part), &["2 of 3 variables are missing"]);
    refused(
        keyed(Some("nope"), two),
        &["no tensors under \"nope\"", "state_dict (3 tensors: block.0.conv.weight, ", "state_dict_ema"],
    );
}

#[test]
fn what_is_there_is_listed_where_nothing_matches() {
    let other = |saved: &mut Saved| {
        let (a, b) = (saved.tensor(&[2], 1.), saved.tensor(&[1], 1.));
        dict(&[("state_dict", dict(&[("features.0.weight", a)])), ("mean", b)])
    };
    refused(of(other), &["another network", "the file itself (1 tensor: mean)", "state_dict (1 tensor: features.0.weight)"]);
    refused(of(|_| dict(&[("epoch", b"K\x03".to_vec())])), &["no dictionary of tensors", "state_dict()"]);
    // as short with a thousand dictionaries and long names
    let many = |saved: &mut Saved| {
        let name = "long".repeat(100);
        let one: Vec<_> = (0..1000).map(|_| dict(&[(name.as_str(), saved.tensor(&[1], 1.))])).collect();
        [b"](".to_vec(), one.concat(), b"e".to_vec()].concat()
    };
    refused(of(many), &["0 (1 tensor: longlong", "more"]);
}

#[test]
fn other_shapes_missing_and_unreadable_tensors_are_named_and_surplus_ones_are_not_read() {
    let with = |saved: &mut Saved, name: &str, tensor: Vec<u8>| [saved.state("", 1.), text(name), tensor, b"s".to_vec()].concat();
    let wrong = |saved: &mut Saved| {
        let tensor = saved.tensor(&[3], 1.);
        with(saved, "fc.bias", tensor)
    };
    refused(of(wrong), &["fc.bias has shape [3] instead of [2]"]);
    let complex = |saved: &mut Saved| {
        let tensor = saved.tensor(&[1], 1.);
        let at = tensor.windows(12).position(|window| window == b"FloatStorage").unwrap();
        [&tensor[..at], b"Complex", &tensor[at..]].concat()
    };
    let needed = |saved: &mut Saved| {
        let tensor = complex(saved);
        with(saved, "fc.bias", tensor)
    };
    refused(of(needed), &["\"fc.bias\"", "ComplexFloatStorage", "BFloat16Storage"]);
    let surplus = |saved: &mut Saved| {
        let tensor = complex(saved);
        with(saved, "phase", tensor)
    };
    let (value, lines) = of(surplus).unwrap();
    assert_eq!((value, lines.last().unwrap().as_str()), (1., "surplus phase []"));
    // 1e300 in f64 is infinite in f32
    let large = |saved: &mut Saved| {
        let tensor = saved.tensor(&[2, 2], 0.);
        let at = tensor.windows(12).position(|window| window == b"FloatStorage").unwrap();
        saved.replace_last(1e300_f64.to_le_bytes().repeat(4));
        let tensor = [&tensor[..at], b"DoubleStorage", &tensor[at + 12..]].concat();
        with(saved, "fc.weight", tensor)
    };
    refused(of(large), &["fc.weight: value 0 is inf", "must be finite"]);
    for value in [f32::NAN, f32::INFINITY] {
        refused(of(|saved| saved.state("", value)), &["block.0.conv.weight", "must be finite"]);
    }
}

#[test]
fn nesting_sharing_and_cycles_cost_no_more_than_the_file() {
    // a list that holds itself, and a dictionary in it
    let cycle = |saved: &mut Saved| [b"]q\x00h\x00a".to_vec(), saved.state("", 1.), b"a".to_vec()].concat();
    assert_eq!(of(cycle).unwrap().0, 1.);
    let deep = [vec![b']'; 100_000], vec![b'a'; 99_999]].concat();
    refused(of(|_| deep.clone()), &["no dictionary of tensors"]);
    let calls = [b"ca\nb\n".repeat(50_000), b")R".to_vec(), b"\x85R".repeat(49_999)].concat();
    refused(of(|_| calls.clone()), &["no dictionary of tensors"]);
    // forty modules, each of which holds the next twice: 2⁴⁰ names
    let doubled = |saved: &mut Saved| {
        let tensor = saved.tensor(&[1], 1.);
        let mut inner = object("M", &dict(&[("_parameters", dict(&[("w", tensor)])), ("_modules", dict(&[]))]));
        for at in 1..=20_u8 {
            let modules = [b"}".to_vec(), text("a"), inner, vec![b'q', at, b's'], text("b"), vec![b'h', at, b's']].concat();
            inner = object("M", &dict(&[("_parameters", dict(&[])), ("_modules", modules)]));
        }
        inner
    };
    refused(of(doubled), &["another network"]);
}

#[test]
fn whole_modules_and_scripts_give_the_names_of_their_state_dict() {
    let module = |saved: &mut Saved| {
        let [conv, weight, bias] = NAMES.map(|(_, shape)| saved.tensor(shape, 3.));
        let of = |parameters: &[(&str, Vec<u8>)], modules: &[(&str, Vec<u8>)]| {
            object("M", &dict(&[("training", b"\x89".to_vec()), ("_parameters", dict(parameters)), ("_modules", dict(modules))]))
        };
        let block = of(&[], &[("0", of(&[], &[("conv", of(&[("weight", conv)], &[]))]))]);
        of(&[], &[("block", block), ("fc", of(&[("weight", weight), ("bias", bias)], &[]))])
    };
    assert_eq!(of(module).unwrap().0, 3.);
    assert_eq!(of(|saved| dict(&[("net", module(saved)), ("epoch", b"K\x01".to_vec())])).unwrap().0, 3.);
}

#[test]
fn what_pytorch_wrote_is_read() {
    const MODULE: &[u8] = include_bytes!("../data/module.pth");
    const SCRIPT: &[u8] = include_bytes!("../data/script.pt");
    const VALUES: &[u8] = include_bytes!("../data/values.pth");
    for (bytes, place) in [(MODULE, None), (SCRIPT, None), (VALUES, Some("state_dict (3 of 3 names)"))] {
        let (value, lines) = loaded(&Weights::read(bytes.to_vec()).unwrap(), None).unwrap();
        assert_eq!(value, 1.5);
        assert!(place.is_none_or(|place| lines[0] == place), "{lines:?}");
        for name in ["norm.running_var [2]", "norm.num_batches_tracked []"] {
            assert!(lines.contains(&format!("surplus {name}")), "{lines:?}");
        }
    }
}

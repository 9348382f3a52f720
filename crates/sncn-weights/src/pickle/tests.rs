//! Tests: a batch as Python 2 wrote it, hostile input, and every truncation.

use super::*;

/// `{"labels": [6, 9], "data": <2×3 bytes>}` as Python 2 wrote CIFAR-10 (protocol 2, byte strings).
fn python_2() -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\x09eU\x04dataq\x04".to_vec();
    bytes.extend(
        b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87Rq\x07(K\x01K\x02K\x03\x86",
    );
    bytes.extend(b"cnumpy\ndtype\nq\x08U\x02u1K\x00K\x01\x87Rq\x09(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb");
    bytes.extend(b"\x89U\x06\x01\x02\x03\xfd\xfe\xfftbu.");
    bytes
}

#[test]
fn a_python_2_batch_is_read() {
    let bytes = python_2();
    let pickle = Pickle::read(&bytes).unwrap();
    let labels = pickle.items(pickle.entry(pickle.root(), "labels").unwrap()).unwrap();
    assert_eq!(labels.iter().map(|&label| pickle.int(label).unwrap()).collect::<Vec<_>>(), [6, 9]);
    let (shape, data) = pickle.byte_array(pickle.entry(pickle.root(), "data").unwrap()).unwrap();
    assert_eq!((shape, data), (vec![2, 3], vec![1, 2, 3, 253, 254, 255]));
    assert_eq!(pickle.bytes_read(), bytes.len());
}

#[test]
fn every_truncation_and_every_changed_byte_is_an_error_or_a_value() {
    let bytes = python_2();
    for length in 0..bytes.len() {
        assert!(Pickle::read(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..bytes.len() {
        for value in 0..=255 {
            let mut changed = bytes.clone();
            changed[at] = value;
            if let Ok(pickle) = Pickle::read(&changed) {
                let _ = pickle.entry(pickle.root(), "data").and_then(|data| pickle.byte_array(data));
            }
        }
    }
}

#[test]
fn nothing_is_run_and_nesting_is_harmless() {
    // os.system("true"): a call that is never made
    let pickle = Pickle::read(b"cos\nsystem\n(U\x04truetR.").unwrap();
    assert!(matches!(pickle.node(pickle.root()), Node::Call { state: None, .. }));
    // nor are classes that instances of Python 2, numbers or buffers outside stand for looked up
    for call in [b"(U\x02idios\nsystem\n.".as_slice(), b"(cos\nsystem\nU\x02ido.", b"cos\nsystem\n)}\x92."] {
        let pickle = Pickle::read(call).unwrap();
        assert!(matches!(pickle.node(pickle.root()), Node::Call { state: None, .. }), "{call:?}");
    }
    for other in [b"\x82\x01.".as_slice(), b"\x83\x01\x02.", b"\x84\x01\x02\x03\x04.", b"\x97\x98."] {
        let pickle = Pickle::read(other).unwrap();
        assert_eq!(*pickle.node(pickle.root()), Node::Other, "{other:?}");
    }
    assert!(matches!(Pickle::read(b"\x99."), Err(PickleError::Instruction { at: 0, op: 0x99 })));
    let mut deep = vec![b']'; 1_000_000];
    deep.extend(vec![b'a'; 999_999]);
    deep.push(b'.');
    assert!(Pickle::read(&deep).is_ok());
    // a list that holds itself
    assert!(Pickle::read(b"]q\x00h\x00a.").is_ok());
    // a long text that is named again and again
    let mut long = b"\x80\x02X\x00\x10\x00\x00".to_vec();
    long.extend([b'a'; 4096]);
    long.extend(b"22\x93.");
    assert!(matches!(Pickle::read(&long), Err(PickleError::Malformed { what: "a global's name is too long", .. })));
    // a length past the end
    assert!(matches!(Pickle::read(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff."), Err(PickleError::Truncated(_))));
}

#[test]
fn bytes_of_python_3_in_protocol_2_are_read_and_a_call_of_itself_is_not_followed() {
    let pickle = Pickle::read(b"\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xbfX\x06\x00\x00\x00latin1\x86R.").unwrap();
    assert_eq!(pickle.bytes(pickle.root()), Some(vec![255]));
    let pickle = Pickle::read(b"c_codecs\nencode\n](tR.").unwrap();
    assert_eq!(pickle.bytes(pickle.root()), None);
    // the argument list holds the call itself
    let pickle = Pickle::read(b"]q\x00c_codecs\nencode\nh\x00Rq\x01h\x00h\x01a0.").unwrap();
    assert_eq!(pickle.bytes(pickle.root()), None);
}

#[test]
fn values_that_no_data_file_needs_are_passed_over() {
    let root = |bytes: &[u8]| {
        let pickle = Pickle::read(bytes).unwrap();
        pickle.node(pickle.root()).clone()
    };
    // 2⁶³ + 5 in binary and in text, below zero too, half a surrogate pair, and strings with escapes
    for other in [
        b"\x8a\x09\x05\0\0\0\0\0\0\x80\0.".as_slice(),
        b"L9223372036854775813L\n.",
        b"I-92233720368547758130\n.",
        b"X\x03\0\0\0\xed\xa0\x80.",
        b"V\\u20ac\n.",
        b"S'\\x00'\n.",
    ] {
        assert_eq!(root(other), Node::Other, "{other:?}");
    }
    assert!(Pickle::read(b"Inone\n.").is_err() && Pickle::read(b"F1.5x\n.").is_err() && Pickle::read(b"Sx\n.").is_err());
    assert_eq!((root(b"F-1.5\n."), root(b"Va\n."), root(b"I-7\n.")), (Node::Float(-1.5), Node::Text("a".into()), Node::Int(-7)));
    let pickle = Pickle::read(b"S'ab'\np1\n0g1\n.").unwrap();
    assert_eq!(pickle.text(pickle.root()), Some("ab".to_string()));
    // a deque with items, a class with a list of its own, a frozen set, a mark that is dropped, a state of what is no call
    for held in [b"ccollections\ndeque\n)R(K\x01K\x02e.".as_slice(), b"ca\nb\n)\x81K\x01b(K\x01K\x02u.", b"P7\n(K\x01e."] {
        assert!(matches!(root(held), Node::Call { .. } | Node::Persistent(_)), "{held:?}");
    }
    assert_eq!(root(b"(K\x01K\x02\x91."), Node::Tuple(vec![0, 1]));
    assert_eq!((root(b"K\x01((K\x0210."), root(b"]}b.")), (Node::Int(1), Node::List(vec![])));
}

/// `{"a": [1, -2, 1 << 40, 0.5, None, True], "b": ("x", "y")}` as Python 3 writes it.
#[test]
fn every_protocol_gives_the_same_values() {
    let protocols: [&[u8]; 6] = [
        b"(dp0\nVa\np1\n(lp2\nI1\naI-2\naL1099511627776L\naF0.5\naNaI01\nasVb\np3\n(Vx\np4\nVy\np5\ntp6\ns.",
        b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffL1099511627776L\nG?\xe0\x00\x00\x00\x00\x00\x00NI01\neX\x01\x00\x00\x00bq\x03(X\x01\x00\x00\x00xq\x04X\x01\x00\x00\x00yq\x05tq\x06u.",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01G?\xe0\x00\x00\x00\x00\x00\x00N\x88eX\x01\x00\x00\x00bq\x03X\x01\x00\x00\x00xq\x04X\x01\x00\x00\x00yq\x05\x86q\x06u.",
        b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01G?\xe0\x00\x00\x00\x00\x00\x00N\x88eX\x01\x00\x00\x00bq\x03X\x01\x00\x00\x00xq\x04X\x01\x00\x00\x00yq\x05\x86q\x06u.",
        b"\x80\x04\x95\x35\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\0\0\0\0\0\x01G?\xe0\0\0\0\0\0\0N\x88e\x8c\x01b\x94\x8c\x01x\x94\x8c\x01y\x94\x86\x94u.",
        b"\x80\x05\x95\x35\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xff\x8a\x06\0\0\0\0\0\x01G?\xe0\0\0\0\0\0\0N\x88e\x8c\x01b\x94\x8c\x01x\x94\x8c\x01y\x94\x86\x94u.",
    ];
    for (protocol, bytes) in protocols.iter().enumerate() {
        let pickle = Pickle::read(bytes).unwrap();
        let entry = |key: &str| pickle.items(pickle.entry(pickle.root(), key).unwrap()).unwrap().to_vec();
        let values: Vec<Node> = entry("a").into_iter().map(|id| pickle.node(id).clone()).collect();
        let want = [Node::Int(1), Node::Int(-2), Node::Int(1 << 40), Node::Float(0.5), Node::None, Node::Bool(true)];
        assert_eq!(values, want, "protocol {protocol}");
        let texts: Vec<_> = entry("b").into_iter().map(|id| pickle.text(id).unwrap()).collect();
        assert_eq!(texts, ["x", "y"], "protocol {protocol}");
    }
}

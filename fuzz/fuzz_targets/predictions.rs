//! The reader of predictions: any bytes are answers to four copies of two examples, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use sncn_record::task::CLASSIFY;
use sncn_train::harness::robustness::{About, Copied, Copies};
use std::fs;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let file = std::env::temp_dir().join(format!("sncn-fuzz-{}.csv", std::process::id()));
    fs::write(&file, bytes).unwrap();
    let copy = |path: &str, label: &str, shift: &str, severity| Copied {
        path: path.to_string(),
        label: label.to_string(),
        shift: shift.to_string(),
        severity,
    };
    let copies = vec![
        copy("clean/a.png", "cat", "clean", 0),
        copy("clean/b.png", "dog", "clean", 0),
        copy("fog/1/a.png", "cat", "fog", 1),
        copy("fog/1/b.png", "dog", "fog", 1),
    ];
    let copies = Copies::new(&CLASSIFY, Path::new("out"), 2, copies).unwrap();
    let about = About {
        task: &CLASSIFY,
        name: "fuzz".to_string(),
        model: Value::Null,
        protocol: Value::Null,
        seed: 0,
        classes: copies.classes.clone(),
        notes: Vec::new(),
    };
    let mut recorder = about.recorder();
    if let Ok(answers) = copies.measure(&file, &mut recorder) {
        assert!(answers.len() == 4 && answers.iter().all(|&answer| answer < 2));
        assert!(recorder.measurements().iter().all(|one| one.value.is_finite()));
    }
});

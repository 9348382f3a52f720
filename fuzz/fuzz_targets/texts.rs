//! Any bytes are a table of texts whose labels are numbers of its classes, or an error that quotes little. The first byte says what the
//! name of the file ends in.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_text::dataset::table::parsed;
use sncn_train::text_file::{abridged, each_line};

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let mut lines = 0;
    let _ = each_line(rest, |_| {
        lines += 1;
        Ok::<_, std::io::Error>(())
    });
    assert!(lines <= rest.len().max(1));
    match parsed(rest.to_vec(), ["json", "csv", "tsv"][usize::from(first) % 3]) {
        Ok(texts) => {
            assert!(!texts.examples.is_empty());
            assert!(texts.examples.iter().all(|example| (example.label as usize) < texts.classes.len()));
            let classes = texts.classes.clone();
            let Ok(same) = texts.in_classes(&classes) else { panic!("a set has not its own classes: {classes:?}") };
            assert_eq!(same.classes, classes);
        }
        Err(error) => assert!(abridged(&format!("{error:#}")).chars().count() < 2000),
    }
});

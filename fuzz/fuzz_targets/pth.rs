//! Any bytes are weights whose tensors can all be made from the file's own bytes or are refused, or an error; whatever dictionary in
//! them is asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_weights::{Content, NameMap, Pth, Weights};
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = Pth::read(bytes.to_vec()) {
        for entry in file.dictionaries().iter().flat_map(|dictionary| dictionary.entries()) {
            if let Ok(tensors) = file.tensors(&[entry]) {
                assert_eq!(tensors[0].dims(), entry.shape());
                assert!(tensors[0].elem_count() <= bytes.len());
            }
        }
    }
    // every file of an index is the same: nothing outside the folder may be asked for
    let look = |path: &Path| {
        assert_eq!(path.components().filter(|part| !matches!(part, std::path::Component::Normal(_))).count(), 0);
        Ok(Content::File(bytes.to_vec()))
    };
    let Ok(weights) = Weights::open(Path::new("folder/model"), look) else { return };
    // the network is that of the last dictionary, without wrappers
    let names: Vec<String> =
        weights.dictionaries().iter().flat_map(|dictionary| dictionary.entries()).map(|entry| entry.name().to_string()).collect();
    let key = weights.dictionaries().last().map(|dictionary| dictionary.path());
    let inner: Vec<String> = names.iter().map(|name| name.trim_start_matches("module.").to_string()).collect();
    for key in [None, key.as_deref(), Some("module"), Some("a.b")] {
        let _ = weights.find(&names, &NameMap::STRICT, key);
        if let Ok(found) = weights.find(&inner, &NameMap::STRICT, key) {
            assert!(inner.iter().any(|name| found.shape(name).is_some()));
        }
    }
});

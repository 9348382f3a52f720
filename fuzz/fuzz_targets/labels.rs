//! The reader of label files, with class lists with and without colours: any bytes are labels or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_vision::dataset::pairs::{Legend, labels};

fuzz_target!(|bytes: &[u8]| {
    for text in ["sky\nroad\ncar\nvoid\n", "sky 1 2 3\nroad 0 0 255\n"] {
        let Ok(legend) = Legend::parse(text) else { continue };
        if let Ok((height, width, labels)) = labels::decode(bytes, &legend) {
            assert_eq!(labels.len(), height * width);
            assert!(labels.iter().all(|&label| label == 255 || usize::from(label) < legend.classes.len()));
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Legend::parse(text);
    }
});

//! The reader of checkpoints: any bytes are weights with a run, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_train::checkpoint::Checkpoint;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let file = std::env::temp_dir().join(format!("sncn-fuzz-{}.safetensors", std::process::id()));
    fs::write(&file, bytes).unwrap();
    if let Ok(checkpoint) = Checkpoint::read(&file) {
        let text = serde_json::to_string(&checkpoint.header).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["sha256"], checkpoint.header.sha256);
    }
});

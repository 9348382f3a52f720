//! Any bytes are an array whose rows can all be read, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_vision::dataset::npy::NpyFile;
use std::io::Cursor;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = NpyFile::read(Cursor::new(bytes), Path::new("fuzz.npy")) else { return };
    assert!(file.shape()[0] == 0 || file.row_bytes() <= bytes.len());
    if file.shape()[0] > 0 {
        let mut row = vec![0; file.row_bytes()];
        for index in [0, file.shape()[0] / 2, file.shape()[0] - 1] {
            file.read_row(index, &mut row).unwrap();
        }
        assert!(file.read_row(file.shape()[0], &mut row).is_err());
    }
    // rows of no bytes are counted by the header alone
    if file.row_bytes() > 0 {
        let _ = file.numbers();
    }
});

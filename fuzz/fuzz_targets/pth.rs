//! Any bytes are a state dict whose tensors can all be made from the file's own bytes, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_weights::pth::Pth;

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = Pth::read(bytes) else { return };
    for name in file.names() {
        let tensor = file.tensor(name).unwrap();
        assert_eq!(Some(tensor.dims()), file.shape(name));
        assert!(tensor.elem_count() <= bytes.len());
    }
});

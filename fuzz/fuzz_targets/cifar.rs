//! Any bytes are a file of images in one of the four layouts, or an error; the first byte chooses the layout.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_vision::dataset::Images;
use sncn_vision::dataset::cifar::Cifar;
use sncn_vision::picture::Photo;

fuzz_target!(|bytes: &[u8]| {
    let Some((layout, bytes)) = bytes.split_first() else { return };
    let Ok(images) = Cifar::from_bytes(layout & 1 == 1, layout & 2 == 2, bytes.to_vec()) else { return };
    let mut pixels = Photo::default();
    for index in 0..images.len() {
        assert!(images.read(index, &mut pixels).unwrap() < images.classes().len());
    }
    assert!(images.read(images.len(), &mut pixels).is_err());
});

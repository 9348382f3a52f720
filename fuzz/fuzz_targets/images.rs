//! The one place where images are decoded, by their content: any bytes are an image of a bounded size or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_vision::picture::{Limit, decode};

fuzz_target!(|bytes: &[u8]| {
    let limit = Limit::of_pixels(1_000_000);
    if let Ok(image) = decode(bytes, limit) {
        assert!(u64::from(image.width()) * u64::from(image.height()) <= 1_000_000);
        assert_eq!(image.to_rgb8().as_raw().len(), 3 * image.width() as usize * image.height() as usize);
    }
});

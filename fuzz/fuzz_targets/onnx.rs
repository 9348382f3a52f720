//! The reader of ONNX files: any bytes are an image classifier or an error.
#![no_main]

use candle_core::{DType, Device, Tensor};
use libfuzzer_sys::fuzz_target;
use sncn_core::{Network, Pass};
use sncn_onnx::{Classifier, Reading};
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let file = std::env::temp_dir().join(format!("sncn-fuzz-{}.onnx", std::process::id()));
    fs::write(&file, bytes).unwrap();
    let Ok(model) = Classifier::open(&file, &Reading { size: 32, ..Reading::default() }) else { return };
    assert!(model.classes() > 1);
    let images = Tensor::zeros((3, 32, 32, 3), DType::F32, &Device::Cpu).unwrap();
    if let Ok(scores) = model.forward(&images, &Pass::eval()) {
        assert_eq!(scores.dims(), [3, model.classes()]);
    }
});

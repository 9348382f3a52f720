//! What an ONNX classifier answers to images of a formula, and how long an image takes, so that another runtime can be held to it:
//!
//! ```sh
//! cargo run --release --example answers -- network.onnx 224
//! ```
//!
//! Value i of the images (2, height, width, 3) is (i·37 mod 101)/101 − 0.5. The first line is the median of nine times in milliseconds an
//! image, on as many threads as RAYON_NUM_THREADS says; then come the scores, an image a line.

use candle_core::{Device, Tensor};
use sncn_core::{Network, Pass};
use sncn_onnx::{Classifier, Reading};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

/// Images that are answered at once.
const IMAGES: usize = 2;
/// Times that are taken.
const TIMES: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let path: PathBuf = arguments.next().ok_or("give an ONNX file, and the side of its images")?.into();
    let size: usize = arguments.next().and_then(|side| side.to_str()?.parse().ok()).unwrap_or(224);
    let network = Classifier::open(&path, &Reading { size, ..Reading::default() })?;
    let values = (0..IMAGES * size * size * 3).map(|index| (index * 37 % 101) as f32 / 101. - 0.5).collect();
    let images = Tensor::from_vec(values, (IMAGES, size, size, 3), &Device::Cpu)?;
    let mut times = Vec::with_capacity(TIMES);
    let mut scores = network.forward(&images, &Pass::eval())?;
    for _ in 0..TIMES {
        let begun = Instant::now();
        scores = network.forward(&images, &Pass::eval())?;
        times.push(begun.elapsed().as_secs_f64() * 1000. / IMAGES as f64);
    }
    times.sort_by(f64::total_cmp);
    println!("{:.2}", times[TIMES / 2]);
    for row in scores.to_vec2::<f32>()? {
        println!("{}", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
    Ok(())
}

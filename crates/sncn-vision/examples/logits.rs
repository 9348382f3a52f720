//! Logits of a network with weights that PyTorch saved, on raw inputs: to hold a network to the program that its weights come from.
//!
//! `logits <backbone> <weights> <height> <width> <inputs> <outputs>`: both files are little-endian f32, (N, height, width, 3) and
//! (N, classes). The number of classes is that of the last variable of the weights.

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use sncn_core::{Pass, Seed, Vars};
use sncn_train::files;
use sncn_vision::backbone::{Blueprint, build};
use sncn_weights::{NameMap, Weights};
use std::io::{Read, Write};
use std::path::Path;

/// Images of a forward pass.
const BATCH: usize = 32;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [backbone, weights, height, width, inputs, outputs] = &words[..] else {
        bail!("usage: logits <backbone> <weights> <height> <width> <inputs> <outputs>")
    };
    let (height, width): (usize, usize) = (height.parse().context("height")?, width.parse().context("width")?);
    let network = |classes| {
        let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
        build(backbone, &Blueprint { classes, layers: (&[]).into(), vars: &vars }).map(|network| (network, vars))
    };
    let names: Vec<String> = network(2)?.1.all().into_iter().map(|(name, _)| name).collect();
    let file = Weights::open(Path::new(weights), files::look)?;
    let found = file.find(&names, &NameMap::STRICT, None)?;
    let last = names.last().context("a network without variables")?;
    let classes =
        found.shape(last).and_then(|shape| shape.first()).copied().with_context(|| format!("{weights} has no {last}"))?;
    let (network, vars) = network(classes)?;
    found.load(&vars, |_, _, _| ())?;
    let mut file = std::fs::File::open(inputs).with_context(|| inputs.clone())?;
    let mut to = std::io::BufWriter::new(std::fs::File::create(outputs).with_context(|| outputs.clone())?);
    let size = 4 * height * width * 3;
    loop {
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take((BATCH * size) as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(to.flush()?);
        }
        ensure!(bytes.len().is_multiple_of(size), "{inputs}: no whole number of images of {height} × {width} × 3 f32");
        let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let xs = Tensor::from_vec(values, (bytes.len() / size, height, width, 3), &Device::Cpu)?;
        for logit in network.forward(&xs, &Pass::eval())?.flatten_all()?.to_vec1::<f32>()? {
            to.write_all(&logit.to_le_bytes())?;
        }
    }
}

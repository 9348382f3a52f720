//! Photographs from files: decoding, random resized crop, flip and normalisation; and what reading them costs a training epoch.

use crate::augment::Augment;
use crate::backbone::{self, Blueprint};
use crate::corruption::Dims;
use crate::dataset::Images;
use crate::dataset::photos::{Check, class_folders};
use crate::examples::Examples;
use crate::picture::Photo;
use crate::preprocess::Preprocessing;
use anyhow::{Context, Result};
use candle_core::{DType, Device};
use image::codecs::jpeg::JpegEncoder;
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Seed, Vars};
use sncn_train::data::Dataset;
use sncn_train::harness::bench::{Meter, emit};
use sncn_train::learner::Learner;
use sncn_train::objective::Objective;
use sncn_train::schedule::ScheduleConfig;
use sncn_train::train::{Control, Recipe, train};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The usual size of ImageNet's photographs.
const DIMS: Dims = Dims { height: 375, width: 500 };
/// Files of a measurement.
const FILES: usize = 64;
/// Quality of the files.
const QUALITY: u8 = 90;
/// Images of a training step.
const BATCH: usize = 16;

/// Smooth waves with a grain, different for every image: the peer draws the same.
pub(super) fn texture(dims: Dims, image: usize) -> Vec<u8> {
    let value = |i: usize| {
        let (y, x, c) = (i / 3 / dims.width, i / 3 % dims.width, i % 3);
        let wave =
            ((x * (1 + image % 3)) as f64 / 37. + c as f64).sin() + ((y * (1 + image % 5)) as f64 / 53. + c as f64 / 2.).cos();
        let grain = ((x * 31 + y * 57 + x * y % 97 + image * 13) % 23) as f64;
        (128. + 45. * wave + grain - 11.) as u8
    };
    (0..dims.bytes()).map(value).collect()
}

/// Writes a texture as a JPEG file.
pub(super) fn jpeg(path: &Path, dims: Dims, image: usize) -> Result<()> {
    let (mut bytes, width, height) = (Vec::new(), u32::try_from(dims.width)?, u32::try_from(dims.height)?);
    let kind = image::ExtendedColorType::Rgb8;
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(&texture(dims, image), width, height, kind)?;
    Ok(std::fs::write(path, bytes)?)
}

/// Writes the files into class folders, and lists them.
fn files(folder: &Path) -> Result<Arc<dyn Images>> {
    for image in 0..FILES {
        let class = folder.join(format!("{}", image % 4));
        std::fs::create_dir_all(&class)?;
        jpeg(&class.join(format!("{image:03}.jpg")), DIMS, image)?;
    }
    class_folders(folder, Check::default())
}

/// Images of one size in memory.
pub(super) struct InMemory {
    pub(super) photos: Vec<Photo>,
    pub(super) labels: Vec<usize>,
    pub(super) classes: Vec<String>,
}

impl InMemory {
    /// The images of a set, decoded.
    fn of(images: &dyn Images) -> Result<Self> {
        let (mut photos, mut labels) = (Vec::new(), Vec::new());
        for index in 0..images.len() {
            let mut photo = Photo::default();
            labels.push(images.read(index, &mut photo)?);
            photos.push(photo);
        }
        Ok(Self { photos, labels, classes: images.classes().to_vec() })
    }
}

impl Images for InMemory {
    fn len(&self) -> usize {
        self.photos.len()
    }

    fn dims(&self) -> Option<Dims> {
        self.photos.first().map(Photo::dims)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<usize> {
        self.labels.get(index).copied().with_context(|| format!("image {index} of {}", self.len()))
    }

    fn read(&self, index: usize, out: &mut Photo) -> Result<usize> {
        let label = self.label(index)?;
        let photo = &self.photos[index];
        out.reset(photo.dims()).copy_from_slice(photo.bytes());
        Ok(label)
    }

    fn describe(&self) -> String {
        format!("{} images in memory", self.len())
    }
}

/// Images a second of loading for training.
pub(super) fn run(meter: &Meter) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let images = Examples::new(files(folder.path())?, Preprocessing::named("imagenet")?).augmented(Augment::default());
    let indices: Vec<usize> = (0..FILES).collect();
    let seconds = meter
        .seconds(|| Ok(indices.chunks(BATCH).try_for_each(|indices| images.batch(indices, Some(Seed::new(1))).map(drop))?))?;
    emit("loading", "JPEG 500x375 to 224", FILES as f64 / seconds, "images/s");
    Ok(())
}

/// Seconds of the steps of an epoch after the first.
fn epoch(data: &Examples) -> Result<f64> {
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let network = backbone::build("resnet18", &Blueprint { classes: 4, layers: [].as_slice().into(), vars: &vars })?;
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    let optimizer = Optimizer::new(config, vars.trainable())?;
    let recipe = Recipe {
        batch_size: BATCH,
        accumulate: 1,
        epochs: 2,
        lr: 0.01,
        schedule: ScheduleConfig::Constant {},
        objective: Objective::Plain {}.smoothed(0.),
        mix: None,
        seed: Seed::new(1),
        augment: true,
    };
    let (mut start, mut steps) = (None, 0usize);
    train(&mut Learner::new(&*network, &vars, optimizer), data, &recipe, 0, |_, _| -> Result<Control> {
        match start {
            None => start = Some(Instant::now()),
            Some(_) => steps += 1,
        }
        Ok(Control::Continue)
    })?;
    Ok(start.context("no step")?.elapsed().as_secs_f64() / steps.max(1) as f64)
}

/// A ResNet-18 epoch on files beside the same on images in memory, in alternation.
pub(super) fn epochs(meter: &Meter) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let images = files(folder.path())?;
    let by = Preprocessing::named("imagenet")?;
    let memory = Examples::new(Arc::new(InMemory::of(&*images)?), by).augmented(Augment::default());
    let files = Examples::new(images, by).augmented(Augment::default());
    let mut seconds: [Vec<f64>; 2] = Default::default();
    for _ in 0..meter.runs {
        seconds[0].push(epoch(&files)?);
        seconds[1].push(epoch(&memory)?);
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let [files, memory] = &mut seconds;
    let (files, memory) = (median(files), median(memory));
    emit("resnet18 epoch", "from JPEG files", BATCH as f64 / files, "images/s");
    emit("resnet18 epoch", "from memory", BATCH as f64 / memory, "images/s");
    Ok(())
}

//! A step of FixMatch as published for CIFAR-10: 64 labelled images and 448 without a label, these in two views, RandAugment included.

use super::loading::{InMemory, texture};
use super::trainer::{Trainer, random};
use crate::augment::{Augment, Strong};
use crate::backbone::{self, Blueprint};
use crate::corruption::Dims;
use crate::examples::Examples;
use crate::picture::Photo;
use crate::preprocess::Preprocessing;
use anyhow::{Context, Result};
use candle_core::{DType, Device};
use sncn_core::optim::{Optimizer, OptimizerConfig};
use sncn_core::{Seed, Vars, WeightAverage};
use sncn_train::FixMatch;
use sncn_train::data::{Batch, Dataset};
use sncn_train::harness::bench::{Meter, emit};
use sncn_train::labelled::Labelled;
use sncn_train::learner::Learner;
use sncn_train::objective::Objective;
use sncn_train::schedule::ScheduleConfig;
use sncn_train::train::{Control, Recipe, train};
use std::sync::Arc;
use std::time::Instant;

const DIMS: Dims = Dims { height: 32, width: 32 };
/// Images of the set.
const COUNT: usize = 1024;
const LABELLED: usize = 64;
const CLASSES: usize = 10;

/// Its network.
pub(super) const NAME: &str = "wrn28_2_fixmatch";

/// The pass and update of such a step, with cross-entropy as the loss of all its images.
pub(super) fn trainer() -> Result<Trainer> {
    let images = LABELLED * (1 + 2 * FixMatch::default().ratio);
    let inputs = random(&[images, DIMS.height, DIMS.width, 3], "images")?;
    let batch = Batch::new(inputs, (0..images).map(|image| (image % CLASSES) as u32).collect());
    Ok(Trainer { batch, ..Trainer::with(NAME, &[])? })
}

/// Prints the rate of whole steps whose views are made ahead of them, and what making them takes beside a step.
pub(super) fn run(meter: &Meter) -> Result<()> {
    let photo = |image: usize| {
        let mut photo = Photo::default();
        photo.reset(DIMS).copy_from_slice(&texture(DIMS, image));
        photo
    };
    let images = Arc::new(InMemory {
        photos: (0..COUNT).map(photo).collect(),
        labels: (0..COUNT).map(|image| image % CLASSES).collect(),
        classes: (0..CLASSES).map(|class| class.to_string()).collect(),
    });
    let fixmatch = FixMatch::default();
    let examples = || -> Result<Box<Examples>> {
        let by = Preprocessing::named("cifar-fixmatch")?;
        Ok(Box::new(Examples::new(images.clone(), by).augmented(Augment::Fixmatch { strong: Strong::Randaugment })))
    };
    let sizes = (LABELLED, fixmatch.ratio);
    // the first steps wait for their views
    let ahead = 3;
    let steps = meter.runs as usize + ahead;
    let data = Labelled::semi_supervised(examples()?, (0..CLASSES * 25).collect(), sizes, Some(steps));
    let batches = data.batches(LABELLED, 0, Seed::new(1));
    let views = meter.seconds(|| Ok(data.batch(&batches[0], Some(Seed::new(2)))?))?;
    let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
    let blueprint = Blueprint { classes: CLASSES, layers: [].as_slice().into(), vars: &vars };
    let network = backbone::build(NAME, &blueprint)?;
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
    let decays = |name: &str| !name.contains("bias") && !name.contains("bn");
    let optimizer = Optimizer::new(config, vars.trainable())?.with_decay_of(decays);
    let mut average = WeightAverage::new(0.999, &vars)?;
    let recipe = Recipe {
        batch_size: LABELLED,
        accumulate: 1,
        epochs: 1,
        lr: 0.03,
        schedule: ScheduleConfig::FixmatchCosine {},
        objective: Objective::Fixmatch(fixmatch).smoothed(0.),
        mix: None,
        seed: Seed::new(1),
        augment: true,
    };
    let (mut times, mut last) = (Vec::new(), Instant::now());
    train(&mut Learner::new(&*network, &vars, optimizer), &data, &recipe, 0, |step, _| -> Result<Control> {
        average.update()?;
        if step.done > ahead {
            times.push(last.elapsed().as_secs_f64());
        }
        last = Instant::now();
        Ok(Control::Continue)
    })?;
    times.sort_by(f64::total_cmp);
    let seconds = *times.get(times.len() / 2).context("no step")?;
    let count = (LABELLED * (1 + fixmatch.ratio)) as f64;
    emit("fixmatch", "train, 64 + 448 images", count / seconds, "images/s");
    emit("fixmatch", "views of a step over the step", views / seconds, "times");
    Ok(())
}

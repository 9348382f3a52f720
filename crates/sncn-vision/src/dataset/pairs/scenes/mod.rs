//! `scenes`: a built-in set of generated road scenes, 64 × 96 pixels, eight classes and void (the bonnet of the camera's car).
//!
//! Scenes of the training set and the test set `scenes` are rendered clean: flat colours of a narrow palette, even light. The test
//! set `scenes-weather` has other scenes of the same kind in bad weather: dull and dirty textured surfaces, haze towards the
//! horizon, a colour cast, uneven light, wet streaks and grain. Scene i depends only on the seed and i, so nothing is stored and
//! the number of threads does not matter.

mod canvas;
mod layout;
mod look;

use super::colours::SCENES;
use super::legend::Legend;
use super::pair::{Pair, PairSplits, Pairs};
use crate::dataset::DataDir;
use anyhow::{Result, ensure};
use canvas::Canvas;
pub use look::Look;
use sncn_core::Seed;
use std::sync::Arc;

/// Rows and columns of a scene in pixels.
pub const SIZE: (usize, usize) = (64, 96);
/// The number of training scenes.
pub(crate) const TRAIN: usize = 600;
/// The number of scenes in each test set.
pub(crate) const TEST: usize = 150;

/// Opens the generated set; no files are read.
pub(crate) fn open(_: &DataDir) -> Result<PairSplits> {
    let seed = Seed::new(0).named("scenes");
    let set = |name: &'static str, look, count| -> Arc<dyn Pairs> {
        Arc::new(Scenes { name, look, seed: seed.named(name), count, legend: Legend::new(&SCENES) })
    };
    let test = vec![
        ("scenes".to_string(), set("scenes", Look::Clean, TEST)),
        ("scenes-weather".to_string(), set("scenes-weather", Look::Weather, TEST)),
    ];
    Ok(PairSplits { train: set("scenes-train", Look::Clean, TRAIN), validation: None, test })
}

/// Generates scene `index` of a stream in a look; an index has the same content in every look.
pub fn scene(look: Look, seed: Seed, index: usize) -> Pair {
    let (height, width) = SIZE;
    let mut canvas = Canvas::new(height, width);
    layout::draw(&mut canvas, &mut seed.named("content").fold_in(index as u64).rng());
    let image = look.render(&canvas, &mut seed.named("look").fold_in(index as u64).rng());
    Pair { height, width, image, labels: canvas.labels() }
}

/// One generated split.
struct Scenes {
    name: &'static str,
    look: Look,
    seed: Seed,
    count: usize,
    legend: Legend,
}

impl Pairs for Scenes {
    fn len(&self) -> usize {
        self.count
    }

    fn legend(&self) -> &Legend {
        &self.legend
    }

    fn read(&self, index: usize) -> Result<Pair> {
        ensure!(index < self.count, "scene {index} of {}", self.count);
        Ok(scene(self.look, self.seed, index))
    }

    fn size(&self, index: usize) -> Result<(usize, usize)> {
        ensure!(index < self.count, "scene {index} of {}", self.count);
        Ok(SIZE)
    }

    fn name(&self, index: usize) -> String {
        format!("{}-{index:04}", self.name)
    }

    fn describe(&self) -> String {
        format!("{} ({} generated scenes)", self.name, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_hold_all_classes_and_looks_share_content() -> Result<()> {
        let splits = open(&DataDir::default())?;
        let mut counts = [0usize; 9];
        for index in 0..40 {
            let pair = splits.train.read(index)?;
            assert_eq!((pair.image.len(), pair.labels.len()), (3 * 64 * 96, 64 * 96));
            pair.labels.iter().for_each(|&label| counts[usize::from(label).min(8)] += 1);
            assert_eq!(pair, splits.train.read(index)?);
        }
        let share = |class: usize| counts[class] as f64 / counts.iter().sum::<usize>() as f64;
        assert!((0..8).all(|class| share(class) > 0.004), "{counts:?}");
        assert!(share(1) > 0.15 && share(0) > 0.1, "{counts:?}");
        let (clean, weather) = (scene(Look::Clean, Seed::new(3), 5), scene(Look::Weather, Seed::new(3), 5));
        assert_eq!(clean.labels, weather.labels);
        assert_ne!(clean.image, weather.image);
        Ok(())
    }
}

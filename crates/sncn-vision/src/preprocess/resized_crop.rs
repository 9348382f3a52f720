//! `ResizedCrop`: a random part of an image, of random area and shape, resized and mirrored half of the time (Szegedy et al. 2015,
//! arXiv:1409.4842), as torchvision's `RandomResizedCrop` and `RandomHorizontalFlip` draw it.

use super::resample::{Interpolation, Part, resample_part};
use crate::corruption::Dims;
use crate::picture::Photo;
use anyhow::{Result, ensure};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;

/// Draws of a part before the middle of the image is taken.
const TRIES: usize = 10;

/// Which parts of an image are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizedCrop {
    /// The smallest and largest area, as fractions of the image's.
    #[serde(default = "ResizedCrop::scale")]
    pub scale: [f64; 2],
    /// The smallest and largest width as a multiple of the height.
    #[serde(default = "ResizedCrop::ratio")]
    pub ratio: [f64; 2],
}

impl Default for ResizedCrop {
    fn default() -> Self {
        Self { scale: Self::scale(), ratio: Self::ratio() }
    }
}

impl ResizedCrop {
    const fn scale() -> [f64; 2] {
        [0.08, 1.]
    }

    const fn ratio() -> [f64; 2] {
        [0.75, 4. / 3.]
    }

    /// Refuses settings out of range.
    pub(super) fn check(&self) -> Result<()> {
        let [smallest, largest] = self.scale;
        ensure!(
            0. < smallest && smallest <= largest && largest <= 1.,
            "input.train_crop.scale is [{smallest}, {largest}]; two fractions of the area are accepted, above 0, at most 1, the \
             smaller first"
        );
        let [smallest, largest] = self.ratio;
        ensure!(
            0. < smallest && smallest <= largest && largest.is_finite(),
            "input.train_crop.ratio is [{smallest}, {largest}]; two positive numbers are accepted, the smaller first"
        );
        Ok(())
    }

    /// Draws a part: its area uniform, the logarithm of its ratio uniform, its place uniform. After ten that do not lie within the
    /// image, it is the largest part of an accepted ratio in the middle.
    fn draw(&self, Dims { height, width }: Dims, rng: &mut ChaCha8Rng) -> Part {
        let ([least, most], [low, high]) = (self.scale, self.ratio);
        for _ in 0..TRIES {
            let area = (height * width) as f64 * rng.random_range(least..=most);
            let ratio = rng.random_range(low.ln()..=high.ln()).exp();
            let (part_width, part_height) = ((area * ratio).sqrt().round_ties_even(), (area / ratio).sqrt().round_ties_even());
            let dims = Dims { height: part_height as usize, width: part_width as usize };
            if dims.pixels() > 0 && dims.width <= width && dims.height <= height {
                let top = rng.random_range(0..=height - dims.height);
                return Part { top, left: rng.random_range(0..=width - dims.width), dims };
            }
        }
        let ratio = width as f64 / height as f64;
        let dims = if ratio < low {
            Dims { height: ((width as f64 / low).round_ties_even() as usize).clamp(1, height), width }
        } else if ratio > high {
            Dims { height, width: ((height as f64 * high).round_ties_even() as usize).clamp(1, width) }
        } else {
            Dims { height, width }
        };
        Part { top: (height - dims.height) / 2, left: (width - dims.width) / 2, dims }
    }

    /// Writes a random part of an image, resized to the size `to`, mirrored with probability ½.
    ///
    /// # Errors
    /// If the image has no pixels.
    pub(super) fn cut(&self, photo: &Photo, by: Interpolation, to: Dims, seed: Seed, out: &mut Photo) -> Result<()> {
        let mut rng = seed.rng();
        let part = self.draw(photo.dims(), &mut rng);
        resample_part(photo.bytes(), photo.dims(), part, by, out, to)?;
        if rng.random_bool(0.5) {
            out.bytes_mut().as_chunks_mut::<3>().0.chunks_exact_mut(to.width).for_each(<[_]>::reverse);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_the_image_and_have_the_accepted_area_and_ratio() {
        let (settings, mut rng) = (ResizedCrop::default(), Seed::new(3).rng());
        let mut areas = Vec::new();
        for _ in 0..2000 {
            let dims = Dims { height: 375, width: 500 };
            let Part { top, left, dims: part } = settings.draw(dims, &mut rng);
            assert!(top + part.height <= dims.height && left + part.width <= dims.width);
            let (area, ratio) = (part.pixels() as f64 / dims.pixels() as f64, part.width as f64 / part.height as f64);
            assert!((0.078..=1.).contains(&area) && (0.73..=1.36).contains(&ratio), "{area} {ratio}");
            areas.push(area);
        }
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        assert!((0.38..0.5).contains(&mean), "{mean}");
    }

    #[test]
    fn an_image_that_has_no_such_part_gives_its_middle() {
        let (settings, mut rng) = (ResizedCrop { scale: [1., 1.], ..Default::default() }, Seed::new(3).rng());
        let wide = settings.draw(Dims { height: 10, width: 100 }, &mut rng);
        assert_eq!(wide, Part { top: 0, left: 43, dims: Dims { height: 10, width: 13 } });
        let high = settings.draw(Dims { height: 100, width: 10 }, &mut rng);
        assert_eq!(high, Part { top: 43, left: 0, dims: Dims { height: 13, width: 10 } });
        assert_eq!(settings.draw(Dims { height: 1, width: 1 }, &mut rng).dims, Dims { height: 1, width: 1 });
    }
}

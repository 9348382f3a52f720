//! Restyled training images, as Stylized-ImageNet is made (Geirhos et al. 2019, arXiv:1811.12231): adaptive instance normalisation (AdaIN,
//! Huang, Belongie 2017, arXiv:1703.06868) gives an image the channel statistics of another, its style.
//!
//! The published form exchanges the statistics of features of VGG-19 and decodes them; it needs the published files. Without them the
//! statistics of pixel values are exchanged, which changes colours and contrast and no texture: a stand-in, and named as such.

mod auto_encoder;
mod moments;

use crate::corruption::Dims;
use crate::initial::located;
use crate::picture::{self, Limit, Photo};
use crate::preprocess::{Interpolation, resample};
use anyhow::{Context, Result, ensure};
use auto_encoder::{AutoEncoder, SMALLEST};
use candle_core::{Device, Tensor};
use moments::Moments;
use rand::RngExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_train::DataDir;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The short side to which the published form reduces images.
const PUBLISHED_SIZE: usize = 224;

/// How images are restyled; in a row `{"kind": "style", "source": …}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restyle {
    /// The folder of the images whose styles are taken, below the data folder where there is none here.
    pub source: String,
    /// The fraction of the images that are restyled.
    #[serde(default = "whole")]
    pub share: f64,
    /// How far the statistics go from their own (0) to those of the style (1); α of AdaIN.
    #[serde(default = "whole")]
    pub strength: f64,
    /// The short side, in pixels, to which larger images are reduced before they are restyled; absent: their own, with an encoder 224.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// The published encoder (`vgg_normalised.pth`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<String>,
    /// The published decoder (`decoder.pth`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
}

const fn whole() -> f64 {
    1.
}

impl Restyle {
    /// Checks the ranges of the settings; the error names the setting and the accepted values. `key` is where they stand.
    ///
    /// # Errors
    /// If one is out of range, or an encoder is named without a decoder.
    pub(crate) fn check(&self, key: &str) -> Result<()> {
        for (name, value) in [("share", self.share), ("strength", self.strength)] {
            ensure!((0. ..=1.).contains(&value), "{key}.{name} is {value}; 0 to 1 is accepted");
        }
        ensure!(!self.source.trim().is_empty(), "{key}.source is empty; the path of a folder of images is accepted");
        ensure!(
            self.encoder.is_some() == self.decoder.is_some(),
            "{key}: encoder and decoder go together (vgg_normalised.pth and decoder.pth, as published); one of them is missing"
        );
        let least = if self.encoder.is_some() { SMALLEST } else { 1 };
        ensure!(
            self.size.is_none_or(|size| size >= least),
            "{key}.size is {}; at least {least} is accepted",
            self.size.unwrap_or_default()
        );
        Ok(())
    }
}

/// The styles of a folder of images.
pub struct Styles {
    settings: Restyle,
    files: Vec<PathBuf>,
    /// Those of each file, once it has been used.
    known: Vec<OnceLock<Moments>>,
    network: Option<AutoEncoder>,
}

impl Styles {
    /// Finds the images of the source, and looks at their headers; reads encoder and decoder.
    ///
    /// # Errors
    /// If the folder has no images or one that cannot be read, a setting is out of range, or a file of weights does not fit.
    pub fn open(settings: &Restyle, data_dir: &DataDir) -> Result<Self> {
        settings.check("style")?;
        let here = Path::new(&settings.source);
        let below = data_dir.path.as_ref().map(|folder| folder.join(here));
        let folder = below.filter(|below| !here.exists() && below.exists()).unwrap_or_else(|| here.to_path_buf());
        let files = picture::given(&[folder], None).context("style.source")?;
        let files: Vec<PathBuf> = files.into_iter().map(|(file, _)| file).collect();
        files
            .par_iter()
            .map(|file| picture::check(file, Limit::default(), false))
            .collect::<Result<Vec<()>>>()
            .context("style.source")?;
        let network = match (&settings.encoder, &settings.decoder) {
            (Some(encoder), Some(decoder)) => {
                Some(AutoEncoder::open(&located(encoder, data_dir)?, &located(decoder, data_dir)?)?)
            }
            _ => None,
        };
        let known = files.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { settings: settings.clone(), files, known, network })
    }

    /// What is done, for people.
    pub fn describe(&self) -> String {
        let how = match self.network {
            Some(_) => "AdaIN on the features of an encoder, as Stylized-ImageNet is made",
            None => "AdaIN on pixel values: a stand-in for Stylized-ImageNet, whose encoder and decoder are not given",
        };
        format!("{} styles of {}: {how}", self.files.len(), self.settings.source)
    }

    /// Bytes that restyling an image of that size takes, its file among them.
    pub(crate) fn memory(&self, dims: Dims) -> usize {
        let copies = 4 * dims.bytes();
        match (&self.network, self.reduced(dims)) {
            (Some(network), reduced) => copies + reduced.bytes() / 3 * network.memory(),
            (None, _) => copies,
        }
    }

    /// Restyles an image, if it is one of those that are; which style it gets is drawn from `seed`. `spare` is for images in between.
    ///
    /// # Errors
    /// If the file of the style cannot be read, or an image is too small for the encoder.
    pub fn apply(&self, photo: &mut Photo, spare: &mut Photo, seed: Seed) -> Result<()> {
        let mut rng = seed.rng();
        let (acts, chosen) = (rng.random_bool(self.settings.share), rng.random_range(0..self.files.len()));
        if !acts {
            return Ok(());
        }
        self.reduce(photo, spare)?;
        let style = self.moments(chosen)?;
        let strength = self.settings.strength;
        let Some(network) = &self.network else {
            let channels = Moments::of_bytes(photo.bytes()).towards(style, strength);
            let tables: Vec<[u8; 256]> = channels.iter().map(|&channel| table(channel)).collect();
            for rgb in photo.bytes_mut().as_chunks_mut::<3>().0 {
                (0..3).for_each(|c| rgb[c] = tables[c][usize::from(rgb[c])]);
            }
            return Ok(());
        };
        let restyled = network.restyled(&tensor(photo)?, style, strength)?.flatten_all()?.to_vec1::<f32>()?;
        photo.bytes_mut().iter_mut().zip(restyled).for_each(|(byte, value)| *byte = (value * 255.).round().clamp(0., 255.) as u8);
        Ok(())
    }

    /// An image of these bytes, restyled as [`Styles::apply`] does, and as large as it was.
    ///
    /// # Errors
    /// As [`Styles::apply`].
    pub fn of_size(&self, bytes: Vec<u8>, dims: Dims, seed: Seed) -> Result<Vec<u8>> {
        let (mut photo, mut spare) = (Photo::new(dims, bytes)?, Photo::default());
        self.apply(&mut photo, &mut spare, seed)?;
        if photo.dims() != dims {
            resample(photo.bytes(), photo.dims(), Interpolation::Bilinear, &mut spare, dims)?;
            photo = spare;
        }
        Ok(photo.into_bytes())
    }

    fn moments(&self, index: usize) -> Result<&Moments> {
        if let Some(known) = self.known[index].get() {
            return Ok(known);
        }
        let mut photo = Photo::from(picture::read(&self.files[index], Limit::default())?);
        self.reduce(&mut photo, &mut Photo::default()).with_context(|| self.files[index].display().to_string())?;
        let found = match &self.network {
            Some(network) => network.moments(&tensor(&photo)?)?,
            None => Moments::of_bytes(photo.bytes()),
        };
        Ok(self.known[index].get_or_init(|| found))
    }

    /// The size at which an image of that size is restyled.
    fn reduced(&self, dims: Dims) -> Dims {
        let Dims { height, width } = dims;
        let (short, usual) = (height.min(width), self.network.as_ref().map(|_| PUBLISHED_SIZE));
        match self.settings.size.or(usual).filter(|size| *size < short) {
            Some(size) => {
                let to = |side: usize| (side * size + short / 2) / short;
                Dims { height: to(height), width: to(width) }
            }
            None => dims,
        }
    }

    /// Reduces an image to the size at which it is restyled.
    fn reduce(&self, photo: &mut Photo, spare: &mut Photo) -> Result<()> {
        let (dims, to) = (photo.dims(), self.reduced(photo.dims()));
        if to != dims {
            resample(photo.bytes(), dims, Interpolation::Bilinear, spare, to)?;
            std::mem::swap(photo, spare);
        }
        ensure!(
            self.network.is_none() || to.height.min(to.width) >= SMALLEST,
            "{} × {} pixels are too few for the encoder; at least {SMALLEST} × {SMALLEST} are wanted",
            to.height,
            to.width
        );
        Ok(())
    }
}

/// What a channel's bytes become.
fn table((scale, bias): (f64, f64)) -> [u8; 256] {
    std::array::from_fn(|byte| (scale * byte as f64 + bias * 255.).round().clamp(0., 255.) as u8)
}

/// An image (1, H, W, 3) of fractions.
fn tensor(photo: &Photo) -> candle_core::Result<Tensor> {
    let Dims { height, width } = photo.dims();
    let values = photo.bytes().iter().map(|&byte| f32::from(byte) / 255.);
    Tensor::from_iter(values, &Device::Cpu)?.reshape((1, height, width, 3))
}

#[cfg(test)]
mod tests;

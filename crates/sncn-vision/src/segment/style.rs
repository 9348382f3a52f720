//! `Style`: random styles of input images, the published comparison called domain randomisation.

use crate::augment::RandConv;
use crate::restyle::{Restyle, Styles};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;
use sncn_train::DataDir;

/// How input images are restyled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Style {
    /// By a random convolution.
    Randconv(RandConv),
    /// By the statistics of other images, before the image is transformed.
    Style(Restyle),
}

impl Style {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// Names the setting and what is accepted.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Randconv(randconv) => randconv.check("augment.style"),
            Self::Style(restyle) => restyle.check("augment.style"),
        }
    }

    /// Restyles a normalised image (rows × columns × 3), where that is done after the transform.
    pub fn apply(&self, values: &mut [f32], size: (usize, usize), seed: Seed) {
        if let Self::Randconv(randconv) = self {
            randconv.apply(values, size, seed);
        }
    }

    /// The styles of other images, if there are some.
    ///
    /// # Errors
    /// As [`Styles::open`].
    pub fn open(&self, data_dir: &DataDir) -> Result<Option<Styles>> {
        match self {
            Self::Randconv(_) => Ok(None),
            Self::Style(restyle) => Styles::open(restyle, data_dir).map(Some),
        }
    }
}

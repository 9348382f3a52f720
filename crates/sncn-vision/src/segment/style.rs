//! `Style`: random styles of input images, the published comparison called domain randomisation.

use crate::augment::RandConv;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use sncn_core::Seed;

/// How input images are restyled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Style {
    /// By a random convolution.
    Randconv(RandConv),
}

impl Style {
    /// Refuses settings out of range.
    ///
    /// # Errors
    /// Names the setting and what is accepted.
    pub fn check(&self) -> Result<()> {
        let Self::Randconv(randconv) = self;
        randconv.check("augment.style")
    }

    /// Restyles a normalised image (rows × columns × 3).
    pub fn apply(&self, values: &mut [f32], size: (usize, usize), seed: Seed) {
        let Self::Randconv(randconv) = self;
        randconv.apply(values, size, seed);
    }
}

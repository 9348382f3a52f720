//! `OnImage`: a network with layers attached to its input, at the position `image` that every classification network has.
//!
//! CrossNorm on the normalised image is what the paper does on ImageNet (Tang et al. 2021, section 4). In a batch of several views, as
//! AugMix takes, all of them lie one after another and may take each other's statistics. The sites of these layers come after those of
//! the network, whose numbers and initial values do not change.

use super::blueprint::Blueprint;
use candle_core::{Result, Tensor, bail};
use sncn_core::layer::{BuildContext, Hooks};
use sncn_core::{LayerConfig, Layers, Network, Pass};

/// The position.
pub(crate) const IMAGE: &str = "image";

/// How the message of [`Hooks::check`] begins the list of positions.
const LISTS: &str = "this network has: ";

/// Channels of an image.
const CHANNELS: usize = 3;

/// A network and the layers on its input.
struct OnImage {
    hooks: Hooks,
    network: Box<dyn Network>,
    /// How often the layers on the input are sites.
    sites: usize,
}

/// Builds a network by `build` without the layers at `image`, and attaches these to its input.
///
/// # Errors
/// Those of `build`, and where a layer at `image` has an unknown kind or setting, or names stages.
pub(super) fn build(
    blueprint: &Blueprint,
    build: impl FnOnce(&Blueprint) -> Result<Box<dyn Network>>,
) -> Result<Box<dyn Network>> {
    let Blueprint { classes, layers, vars } = *blueprint;
    let (on_image, others): (Vec<LayerConfig>, Vec<_>) = layers.configs.iter().cloned().partition(|layer| layer.at == IMAGE);
    let network = match build(&Blueprint { classes, layers: layers.of(&others), vars }) {
        Ok(network) => network,
        // the network does not know of this position
        Err(error) => bail!("{}", error.to_string().replace(LISTS, &format!("{LISTS}{IMAGE}, "))),
    };
    if on_image.is_empty() {
        return Ok(network);
    }
    if let Some(layer) = on_image.iter().find(|layer| layer.stages.is_some()) {
        bail!("layer {:?} at {IMAGE:?}: stages is set; the image is in no stage: remove the key", layer.kind)
    }
    let cx = BuildContext::new(CHANNELS, vars.builder().pp(IMAGE));
    (0..network.sites()).for_each(|_| _ = cx.next_site());
    let hooks = Hooks::new(Layers::new(&on_image, layers.registry), &[(IMAGE, CHANNELS)], &cx)?;
    let sites = cx.sites() - network.sites();
    Ok(Box::new(OnImage { hooks, network, sites }))
}

impl Network for OnImage {
    fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.network.forward(&self.hooks.forward(IMAGE, xs, pass)?, pass)
    }

    fn forward_auxiliary(&self, xs: &Tensor, pass: &Pass) -> Result<(Tensor, Option<Tensor>)> {
        self.network.forward_auxiliary(&self.hooks.forward(IMAGE, xs, pass)?, pass)
    }

    fn sites(&self) -> usize {
        self.network.sites() + self.sites
    }

    fn unused_parameters(&self) -> &[String] {
        self.network.unused_parameters()
    }
}

//! `Tap`: the map at one place of a network, out of the network.

use super::base::Layer;
use super::context::BuildContext;
use crate::block::CHUNK;
use crate::graph::{FeatureMap, TokenMap};
use crate::network::Network;
use crate::packing::Packing;
use crate::pass::Pass;
use candle_core::{Result, Tensor, bail};
use std::sync::{Arc, Mutex, PoisonError};

/// Where a tap puts the map that it is given.
#[derive(Clone, Default)]
struct Vessel(Arc<Mutex<Option<Tensor>>>);

impl Vessel {
    fn fill(&self, map: Tensor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(map);
    }

    fn take(&self) -> Option<Tensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A layer that leaves maps as they are, until [`features`] asks for the map at its site: then the pass ends there.
///
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use sncn_core::layer::{Tap, features};
/// use sncn_core::{BuildContext, FeatureMap, Layer, Network, Pass, Seed, Vars};
///
/// /// Doubles its input, and then takes a mean.
/// struct Doubling(Tap);
///
/// impl Network for Doubling {
///     fn forward(&self, xs: &Tensor, pass: &Pass) -> Result<Tensor> {
///         let xs = FeatureMap::from_tensor(&(xs * 2.)?, true, pass)?;
///         self.0.on_map(&xs, pass)?.global_avg_pool()
///     }
///
///     fn sites(&self) -> usize {
///         1
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let network = Doubling(Tap::new(&BuildContext::new(3, vars.builder())));
/// let images = Tensor::ones((2, 4, 4, 3), DType::F32, &Device::Cpu)?;
/// let map = features(&network, &images, 0, &Pass::eval())?;
/// assert_eq!((map.dims(), map.mean_all()?.to_scalar::<f32>()?), (&[2, 4, 4, 3][..], 2.));
/// # Ok(())
/// # }
/// ```
pub struct Tap {
    site: usize,
}

/// What ends a pass whose map was taken; nobody sees it.
const TAKEN: &str = "the map was taken at a tap";

impl Tap {
    /// Builds the layer at the network's next site; it has no variables.
    pub fn new(cx: &BuildContext) -> Self {
        Self { site: cx.next_site() }
    }

    /// The vessel of this pass, if it asks for the map here.
    fn asked(&self, pass: &Pass) -> Result<Option<Vessel>> {
        pass.draw(self.site, "tap", |_| bail!("a tap takes no part in mixing: leave it out of the network that is trained"))
    }
}

impl Layer for Tap {
    fn on_map(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let Some(vessel) = self.asked(pass)? else { return Ok(xs.clone()) };
        vessel.fill(xs.to_tensor()?);
        bail!("{TAKEN}")
    }

    fn on_sequences(&self, xs: &TokenMap, _: &Packing, pass: &Pass) -> Result<TokenMap> {
        let Some(vessel) = self.asked(pass)? else { return Ok(xs.clone()) };
        vessel.fill(xs.to_tensor()?);
        bail!("{TAKEN}")
    }
}

/// Returns the map (N, H, W, C) at the tap of this site for inputs (N, …), in this pass. With [`Pass::with_backward`] gradients flow from
/// it to the inputs.
///
/// # Errors
/// Returns the error of the network, and an error where it has no tap at that site.
pub fn features(network: &dyn Network, xs: &Tensor, site: usize, pass: &Pass) -> Result<Tensor> {
    let n = xs.dim(0)?;
    let of = |xs: &Tensor| {
        let vessel = Vessel::default();
        let outcome = network.forward(xs, &pass.clone().with_given([(site, vessel.clone())]));
        match (vessel.take(), outcome) {
            (Some(map), _) => Ok(map),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => bail!("the network has no tap at site {site}"),
        }
    };
    if pass.joins_instances() || n <= CHUNK {
        return of(xs);
    }
    // a network that runs on chunks would end at the first
    let chunks = (0..n).step_by(CHUNK).map(|start| of(&xs.narrow(0, start, CHUNK.min(n - start))?));
    Tensor::cat(&chunks.collect::<Result<Vec<_>>>()?, 0)
}

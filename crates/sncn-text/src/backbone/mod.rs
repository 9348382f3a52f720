//! Networks for token ids (N, L).

mod blueprint;
mod convnet;
mod encoder;
mod linear;
mod network;

pub use blueprint::Blueprint;
pub use convnet::{ConvNet, ConvNetConfig};
pub use encoder::{Curve, Encoder, EncoderConfig, Family, Head, NormPlace, Positions};
pub use network::{Around, Spot, TextNetwork, Watch};

use candle_core::{Result, bail};

/// Builds a network if the name is one of this family's.
pub type Build = fn(name: &str, &Blueprint) -> Option<Result<Box<dyn TextNetwork>>>;

/// Every family that is trained from scratch, by the pattern of its names.
pub const BACKBONES: &[(&str, Build)] =
    &[("convnet<channels>_<filters>[frozen]", ConvNet::named), ("encoder<layers>_<channels>[pre]", Encoder::named)];

/// Builds the network of that name, such as `convnet100_64` or `encoder4_256`.
///
/// # Errors
/// Where the name is unknown (the known ones are listed) or a layer does not fit.
pub fn build(name: &str, blueprint: &Blueprint) -> Result<Box<dyn TextNetwork>> {
    match BACKBONES.iter().find_map(|(_, build)| build(name, blueprint)) {
        Some(network) => network,
        None => {
            let known: Vec<_> = BACKBONES.iter().map(|(pattern, _)| *pattern).collect();
            bail!("unknown backbone {name:?}; known: {} (for example convnet100_64, encoder4_256)", known.join(", "))
        }
    }
}

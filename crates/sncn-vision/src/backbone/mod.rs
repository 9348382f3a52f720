//! Backbones: networks for images (N, H, W, 3), by name, with PyTorch's state-dict names.
//!
//! To add one: one file and one line in [`BACKBONES`].

mod allconv;
mod blueprint;
mod densenet;
mod residual;
mod resnet;
mod resnext;
pub mod segment;
mod wide_resnet;

pub use allconv::AllConvNet;
pub use blueprint::Blueprint;
pub use densenet::{DenseNet, DenseNetConfig};
pub use resnet::ResNet18;
pub use resnext::ResNext;
pub use wide_resnet::WideResNet;

use candle_core::{Result, bail};
use sncn_core::Network;

/// Builds a network if the name is one of this family's.
pub type Build = fn(name: &str, &Blueprint) -> Option<Result<Box<dyn Network>>>;

/// Every family, by the pattern of its names.
pub const BACKBONES: &[(&str, Build)] = &[
    ("wrn<depth>_<width>", WideResNet::named),
    ("allconv", AllConvNet::named),
    ("densenet[b|bc]<depth>_<growth>", DenseNet::named),
    ("resnext<depth>_<cardinality>x<width>", ResNext::named),
    ("resnet18", ResNet18::named),
];

/// Builds the backbone of that name, such as `wrn40_2`, `allconv` or `densenet40_12`.
///
/// # Errors
/// Where the name is unknown (the known ones are listed) or a layer does not fit.
pub fn build(name: &str, blueprint: &Blueprint) -> Result<Box<dyn Network>> {
    match BACKBONES.iter().find_map(|(_, build)| build(name, blueprint)) {
        Some(network) => network,
        None => {
            let known: Vec<_> = BACKBONES.iter().map(|(pattern, _)| *pattern).collect();
            bail!("unknown backbone {name:?}; known: {} (for example wrn16_1, wrn40_2)", known.join(", "))
        }
    }
}

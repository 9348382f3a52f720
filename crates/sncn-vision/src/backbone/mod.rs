//! Backbones: classification networks for images (N, H, W, 3), by name, with PyTorch's state-dict names.
//!
//! A new one is one file and one line in [`BACKBONES`].
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use sncn_core::{LayerConfig, Network, Pass, Seed, Vars};
//! use sncn_vision::backbone::{self, Blueprint};
//!
//! # fn main() -> candle_core::Result<()> {
//! let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
//! let layers = [LayerConfig::new("crossnorm", "post"), LayerConfig::new("selfnorm", "post")];
//! let network = backbone::build("wrn10_1", &Blueprint { classes: 10, layers: (&layers).into(), vars: &vars })?;
//! let images = Tensor::zeros((2, 32, 32, 3), DType::F32, &Device::Cpu)?;
//! assert_eq!(network.forward(&images, &Pass::eval())?.dims(), [2, 10]);
//! # Ok(())
//! # }
//! ```

mod allconv;
mod blueprint;
mod blur;
mod densenet;
pub(crate) mod efficientnet;
mod image;
mod residual;
mod resnet;
mod resnext;
pub mod segment;
mod wide_resnet;

pub use blueprint::Blueprint;
pub use densenet::{DenseNet, DenseNetConfig};

use allconv::AllConvNet;
use candle_core::{Result, bail};
use efficientnet::EfficientNet;
use resnet::ResNet;
use resnext::ResNext;
use sncn_core::Network;
use wide_resnet::WideResNet;

/// Builds a network of one family; `None` if the name belongs to another family.
pub type Build = fn(name: &str, &Blueprint) -> Option<Result<Box<dyn Network>>>;

/// Every family, with the pattern of its names.
pub const BACKBONES: &[(&str, Build)] = &[
    ("wrn<depth>_<width>[_fixmatch]", WideResNet::named),
    ("allconv", AllConvNet::named),
    ("densenet[b|bc]<depth>_<growth>", DenseNet::named),
    ("resnext<depth>_<cardinality>x<width>", ResNext::named),
    ("efficientnet_lite<0|1|2|3|4>", EfficientNet::named),
    ("[cifar_]resnet<18|34|50|101>[_ibn_a|_ibn_b]", ResNet::named),
];

/// Builds a backbone by name, such as `wrn40_2`, `allconv` or `densenet40_12`. Layers at the position `image` act on its input.
///
/// # Errors
/// If the name is unknown (the error lists the patterns), a size in it is out of range, or an attached layer does not fit.
pub fn build(name: &str, blueprint: &Blueprint) -> Result<Box<dyn Network>> {
    image::build(blueprint, |blueprint| named(name, blueprint))
}

fn named(name: &str, blueprint: &Blueprint) -> Result<Box<dyn Network>> {
    match BACKBONES.iter().find_map(|(_, build)| build(name, blueprint)) {
        Some(network) => network,
        None => {
            let known: Vec<_> = BACKBONES.iter().map(|(pattern, _)| *pattern).collect();
            bail!("unknown backbone {name:?}; known: {} (for example wrn16_1, wrn40_2)", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use sncn_core::{LayerConfig, Seed, Vars};

    type Values = Vec<(String, Vec<f32>)>;

    /// The initial values of all variables.
    fn initial(name: &str, layers: &[LayerConfig]) -> Result<Values> {
        let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
        build(name, &Blueprint { classes: 3, layers: layers.into(), vars: &vars })?;
        vars.all().into_iter().map(|(name, var)| Ok((name, var.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?))).collect()
    }

    fn attached(name: &str) -> bool {
        ["crossnorm", "selfnorm"].iter().any(|kind| name.contains(kind))
    }

    #[test]
    fn rows_share_initial_values_whatever_is_attached() -> Result<()> {
        for (name, at) in [
            ("wrn10_1", "post"),
            ("allconv", "conv"),
            ("allconv", "activation"),
            ("densenet10_4", "conv1_pre"),
            ("resnext11_2x4", "post"),
            ("cifar_resnet18", "post"),
            ("resnet18", "image"),
            ("efficientnet_lite0", "post"),
        ] {
            let (cn, sn) = (LayerConfig::new("crossnorm", at), LayerConfig::new("selfnorm", at));
            let baseline = initial(name, &[])?;
            let with_sn = initial(name, std::slice::from_ref(&sn))?;
            let with_both = initial(name, &[cn.clone(), sn])?;
            let shared = |values: &Values| -> Vec<Vec<f32>> {
                values.iter().filter(|(name, _)| !attached(name)).map(|(_, values)| values.clone()).collect()
            };
            let own = |values: &Values| -> Vec<Vec<f32>> {
                values.iter().filter(|(name, _)| attached(name)).map(|(_, values)| values.clone()).collect()
            };
            assert!(shared(&baseline).iter().flatten().any(|&value| value != 0. && value != 1.), "{name}");
            for other in [&with_sn, &with_both, &initial(name, &[cn])?] {
                assert!(shared(&baseline) == shared(other), "{name}, layers at {at}: other initial values");
            }
            assert!(!own(&with_sn).is_empty() && own(&with_sn) == own(&with_both), "{name}: SelfNorm begins with other values");
        }
        Ok(())
    }
}

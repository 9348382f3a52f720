//! Classification networks for token ids, packed (tokens) or (N, L), by name.

mod blueprint;
mod convnet;
mod encoder;
mod linear;
mod network;

pub use blueprint::Blueprint;
pub use convnet::{ConvNet, ConvNetConfig};
pub use encoder::{Activation, Encoder, EncoderConfig, Family, Head, NormPosition, Positions};
pub use network::{BeforeAfter, Spot, TextNetwork, Watch};

use candle_core::{Result, bail};

/// Builds a network of one family; `None` if the name belongs to another family.
pub type Build = fn(name: &str, &Blueprint) -> Option<Result<Box<dyn TextNetwork>>>;

/// Every family that is trained from scratch, with the pattern of its names.
pub const BACKBONES: &[(&str, Build)] =
    &[("convnet<channels>_<filters>[frozen]", ConvNet::named), ("encoder<layers>_<channels>[pre]", Encoder::named)];

/// Builds a network by name, such as `convnet100_64` or `encoder4_256`.
///
/// # Errors
/// If the name is unknown (the error lists the patterns), a size in it is out of range, or an attached layer does not fit.
pub fn build(name: &str, blueprint: &Blueprint) -> Result<Box<dyn TextNetwork>> {
    match BACKBONES.iter().find_map(|(_, build)| build(name, blueprint)) {
        Some(network) => network,
        None => {
            let known: Vec<_> = BACKBONES.iter().map(|(pattern, _)| *pattern).collect();
            bail!("unknown backbone {name:?}; known: {} (for example convnet100_64, encoder4_256)", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use sncn_core::{LayerConfig, Seed, Vars};

    #[test]
    fn rows_share_initial_values_whatever_is_attached() -> Result<()> {
        for (name, at) in [("convnet8_4", "embedding"), ("encoder2_16", "attention"), ("encoder2_16pre", "sum")] {
            let initial = |layers: &[LayerConfig]| -> Result<Vec<(String, Vec<f32>)>> {
                let vars = Vars::new(Seed::new(3), DType::F32, &Device::Cpu);
                build(name, &Blueprint { classes: 2, layers: layers.into(), vars: &vars, words: 20, pad: 0, longest: 10 })?;
                vars.all()
                    .into_iter()
                    .map(|(name, var)| Ok((name, var.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)))
                    .collect()
            };
            let with_both = initial(&[LayerConfig::new("crossnorm", at), LayerConfig::new("selfnorm", at)])?;
            let shared: Vec<_> = with_both.iter().filter(|(name, _)| !name.contains("selfnorm")).cloned().collect();
            assert!(shared.len() < with_both.len() && shared == initial(&[])?, "{name}, layers at {at}: other initial values");
        }
        Ok(())
    }
}

//! Networks for token ids (N, L).

mod convnet;
mod encoder;

pub use convnet::{ConvNet, ConvNetConfig};
pub use encoder::{Curve, Encoder, EncoderConfig, Family, Head, NormPlace, Positions};

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use sncn_core::{Layers, Network, Pass, Vars};

/// What a network is built from.
pub struct Blueprint<'a> {
    /// Classes of the data set.
    pub classes: usize,
    /// Layers to attach to it.
    pub layers: Layers<'a>,
    /// Where its variables are created.
    pub vars: &'a Vars,
    /// Tokens of the vocabulary.
    pub words: usize,
    /// The id of padding.
    pub pad: u32,
    /// The most tokens of a text.
    pub longest: usize,
}

/// Where layers hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot<'a> {
    /// A position that the network names.
    pub position: &'a str,
    /// The encoder's layer, from 1; 0 before the first.
    pub stage: usize,
}

/// Gives the vectors (N, L, C) that go into a layer and those that come out.
pub type Around<'a> = &'a dyn Fn() -> Result<(Tensor, Tensor)>;

/// Is told wherever layers hang, and may ask for the vectors around them.
pub type Watch<'a> = &'a mut dyn FnMut(&Spot, Around) -> Result<()>;

fn unwatched(_: &Spot, _: Around) -> Result<()> {
    Ok(())
}

/// A network for token ids (N, L) that can be watched.
pub trait TextNetwork: Network {
    /// [`Network::forward`], with somebody who watches.
    ///
    /// # Errors
    /// As it, and where `watch` fails.
    fn watched(&self, ids: &Tensor, pass: &Pass, watch: Watch) -> Result<Tensor>;
}

/// A network, if the name is one of a family's.
type Named = Option<Result<Box<dyn TextNetwork>>>;

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

/// Two numbers of a name, `<before>12_34`.
fn numbers(name: &str, before: &str) -> Option<(usize, usize)> {
    let (one, two) = name.strip_prefix(before)?.split_once('_')?;
    Some((one.parse().ok()?, two.parse().ok()?))
}

/// A weight (out, in) and a bias.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Drawn from N(0, `stdev`²), the bias 0.
    fn new(vb: VarBuilder, from: usize, to: usize, stdev: f64) -> Result<Self> {
        let weight = vb.get_with_hints((to, from), "weight", Init::Randn { mean: 0., stdev })?;
        Ok(Self { weight, bias: vb.get_with_hints(to, "bias", Init::Const(0.))? })
    }

    /// Of rows on the tape.
    fn on_rows(&self, xs: &Tensor) -> Result<Tensor> {
        sncn_core::ops::linear(xs, &self.weight, Some(&self.bias))
    }
}

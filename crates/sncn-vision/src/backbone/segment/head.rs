//! Heads of segmentation networks: from a backbone's feature maps to class scores of the same size.

use candle_core::Result;
use candle_nn::VarBuilder;
use sncn_core::block::ConvLayer;
use sncn_core::layer::{BuildContext, Layers, Norm, Place};
use sncn_core::ops::Conv;
use sncn_core::{FeatureMap, Pass};

/// Dropout rate before the last convolution.
const DROPOUT: f64 = 0.1;

/// A segmentation head.
pub(super) trait Decoder: Send + Sync {
    /// Scores (N, h, w, classes) from the maps of the first and of a deep stage.
    fn forward(&self, low: &FeatureMap, deep: &FeatureMap, pass: &Pass) -> Result<FeatureMap>;
}

/// Convolution, norm and ReLU.
struct Unit(ConvLayer, Norm);

/// The kernel of a convolution and its dilation.
type Kernel = (usize, usize);

impl Unit {
    /// A k×k convolution, padded so that the size does not change; `names` are the numbers of convolution and norm in `vb`.
    fn new(
        cx: &BuildContext,
        names: (usize, usize),
        (from, to): (usize, usize),
        (kernel, dilation): Kernel,
        layers: Layers,
    ) -> Result<Self> {
        let conv = Conv { padding: dilation * (kernel / 2), dilation, ..Conv::default() };
        let weights = ConvLayer::new(cx.vb.pp(names.0), from, to, kernel, false, conv)?;
        Ok(Self(weights, layers.batch_norm(&cx.at(to, cx.vb.pp(names.1)), Place::Other)?))
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.1.norm_relu(&self.0.on_map(xs)?, pass)
    }
}

/// Dropout and the last convolution, which has a bias.
struct Scores(ConvLayer, String);

impl Scores {
    fn new(vb: VarBuilder, from: usize, classes: usize) -> Result<Self> {
        let name = vb.prefix();
        Ok(Self(ConvLayer::new(vb, from, classes, 1, true, Conv::default())?, name))
    }

    fn forward(&self, xs: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let drops = pass.dropout();
        let seed = || pass.seed().named("dropout").named(&self.1);
        self.0.on_map(&if drops { xs.dropout(DROPOUT, seed())? } else { xs.clone() })
    }
}

/// FCN's head (Long et al. 2015, as in torchvision): 3×3 convolution to a quarter of the channels, BatchNorm, ReLU, dropout,
/// 1×1 convolution.
pub(super) struct FcnHead(Unit, Scores);

impl FcnHead {
    pub(super) fn new(cx: &BuildContext, from: usize, classes: usize, layers: Layers) -> Result<Self> {
        let inner = (from / 4).max(1);
        Ok(Self(Unit::new(cx, (0, 1), (from, inner), (3, 1), layers)?, Scores::new(cx.vb.pp(4), inner, classes)?))
    }
}

impl Decoder for FcnHead {
    fn forward(&self, _: &FeatureMap, deep: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        self.1.forward(&self.0.forward(deep, pass)?, pass)
    }
}

/// The head of DeepLabV3+ (Chen et al. 2018): convolutions of the deep map at several dilations and of its mean, concatenated,
/// enlarged to the size of the first stage's map, concatenated with that map, and two 3×3 convolutions.
pub(super) struct DeepLabHead {
    pyramid: Vec<Unit>,
    mean: Unit,
    project: Unit,
    low: Unit,
    decoder: [Unit; 2],
    scores: Scores,
}

impl DeepLabHead {
    /// Builds the head with 4·`width` inner channels (256 in the published head) and ¾·`width` channels of the first stage's map (48).
    pub(super) fn new(
        cx: &BuildContext,
        (low, deep): (usize, usize),
        width: usize,
        classes: usize,
        layers: Layers,
    ) -> Result<Self> {
        let (inner, few) = (4 * width, 3 * width / 4);
        let named = |name: &str| cx.at(cx.channels, cx.vb.pp(name));
        let unit = |name: &str, channels, kernel| Unit::new(&named(name), (0, 1), channels, kernel, layers);
        let branch = |(index, kernel): (usize, Kernel)| unit(&format!("aspp.convs.{index}"), (deep, inner), kernel);
        let scales = [(1, 1), (3, 12), (3, 24), (3, 36)];
        Ok(Self {
            pyramid: scales.into_iter().enumerate().map(branch).collect::<Result<_>>()?,
            // one position has no statistics of its own: its norm stays BatchNorm
            mean: Unit::new(&named("aspp.convs.4"), (1, 2), (deep, inner), (1, 1), layers.with_norm(None))?,
            project: unit("aspp.project", (5 * inner, inner), (1, 1))?,
            low: unit("project", (low, few), (1, 1))?,
            decoder: [unit("decoder.0", (inner + few, inner), (3, 1))?, unit("decoder.1", (inner, inner), (3, 1))?],
            scores: Scores::new(cx.vb.pp("scores"), inner, classes)?,
        })
    }
}

impl Decoder for DeepLabHead {
    fn forward(&self, low: &FeatureMap, deep: &FeatureMap, pass: &Pass) -> Result<FeatureMap> {
        let ((_, h, w, _), (_, high, wide, _)) = (deep.dims()?, low.dims()?);
        let mean = self.mean.forward(&deep.global_avg_pool_keepdim()?, pass)?.resize_bilinear((h, w))?;
        let scales = self.pyramid.iter().map(|unit| unit.forward(deep, pass)).collect::<Result<Vec<_>>>()?;
        let joined = scales.iter().skip(1).chain([&mean]).try_fold(scales[0].clone(), |joined, ys| joined.concat(ys))?;
        let ys = self.project.forward(&joined, pass)?.resize_bilinear((high, wide))?;
        let ys = ys.concat(&self.low.forward(low, pass)?)?;
        let ys = self.decoder.iter().try_fold(ys, |ys, unit| unit.forward(&ys, pass))?;
        self.scores.forward(&ys, pass)
    }
}

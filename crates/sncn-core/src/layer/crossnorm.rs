//! CrossNorm (Tang et al. 2021, arXiv 2102.02811, section 3.1): in training, an instance is normalised and given the
//! statistics of another instance, which may be taken from a crop.
//!
//! y = σ′/σ·(x − μ) + μ′ with the partner's mean μ′ and standard deviation σ′. Gradients flow through all statistics. σ is
//! unbiased, with eps 1e-5 under the root. What is random is drawn first ([`CrossNormDraw::sample`]); applying a draw is
//! deterministic.

use super::context::BuildContext;
use super::partners::{for_mixing, mixing, permutation, spread_partners};
use crate::pass::{BoundingBox, Pass};
use crate::rule::{Affine, Instances, MapShape, Matrix, Rule, Statistics};
use candle_core::{Result, bail};
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

/// eps under the root of the standard deviation.
const EPS: f64 = 1e-5;

/// Where the new statistics come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From another instance (as in the published code).
    #[default]
    TwoInstance,
    /// From another channel of the same instance (in the paper only).
    OneInstance,
}

/// What is cropped: to a box of an image's map, or to a span of a sequence, which covers the same fraction of every sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crop {
    /// No crop.
    #[default]
    Neither,
    /// The partner: its statistics are those of the crop.
    Style,
    /// The instance: only the crop is normalised and changed.
    Content,
    /// Both, with crops drawn independently.
    Both,
}

/// Settings of [`CrossNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossNormConfig {
    /// Where the new statistics come from.
    pub mode: Mode,
    /// What is cropped.
    pub crop: Crop,
    /// β of the crop's fraction of the area (of the length, in a sequence), which is drawn from Beta(β, β).
    pub beta: f64,
    /// A crop is drawn again until it covers more than this fraction of the map.
    pub threshold: f64,
    /// Whether the partner's channels are permuted too.
    pub channel_shuffle: bool,
    /// λ of y = λ·x + (1 − λ)·CrossNorm(x); CrossNorm(x) alone where there is none.
    pub blend: Option<f64>,
}

impl Default for CrossNormConfig {
    fn default() -> Self {
        let (mode, crop) = (Mode::default(), Crop::default());
        Self { mode, crop, beta: 1., threshold: 0.1, channel_shuffle: false, blend: None }
    }
}

impl CrossNormConfig {
    fn check(&self) -> Result<()> {
        if !(self.beta.is_finite() && self.beta > 0.) {
            bail!("layer crossnorm: beta is {}; a positive number is accepted", self.beta)
        }
        if !(0. ..1.).contains(&self.threshold) {
            bail!("layer crossnorm: threshold is {}; 0 up to (not including) 1 is accepted", self.threshold)
        }
        if self.blend.is_some_and(|blend| !(0. ..=1.).contains(&blend)) {
            bail!("layer crossnorm: blend is {:?}; 0 to 1 is accepted", self.blend)
        }
        Ok(())
    }
}

/// Returns the box around the centre (`row`, `column`) whose area is `ratio` of the map, clipped to the map, and the fraction
/// of the map that it covers (`cn_rand_bbox` of the published code, with the random numbers as arguments).
pub fn crop_box(height: usize, width: usize, ratio: f64, row: usize, column: usize) -> (BoundingBox, f64) {
    let side = |len: usize| (len as f64 * ratio.sqrt()) as usize / 2;
    let clip = |centre: usize, half: usize, len: usize| (centre.saturating_sub(half), (centre + half).min(len));
    let ((top, bottom), (left, right)) = (clip(row, side(height), height), clip(column, side(width), width));
    let fraction = ((bottom - top) * (right - left)) as f64 / (height * width) as f64;
    (BoundingBox { top, left, bottom, right }, fraction)
}

/// The same along a single row: a span of `ratio` of its length.
fn crop_span(width: usize, ratio: f64, column: usize) -> (BoundingBox, f64) {
    let half = (width as f64 * ratio) as usize / 2;
    let (left, right) = (column.saturating_sub(half), (column + half).min(width));
    (BoundingBox { top: 0, left, bottom: 1, right }, (right - left) as f64 / width as f64)
}

/// Draws a box (a span where the map has a single row) of more than `threshold` of the map and at least 2 positions. `None` after
/// 10,000 tries.
fn draw_box(config: &CrossNormConfig, height: usize, width: usize, rng: &mut impl Rng) -> Result<Option<BoundingBox>> {
    let Ok(beta) = Beta::new(config.beta, config.beta) else { bail!("layer crossnorm: beta is {}", config.beta) };
    for _ in 0..10_000 {
        let ratio = beta.sample(rng);
        let (row, column) = (rng.random_range(0..height), rng.random_range(0..width));
        let (bbox, fraction) =
            if height == 1 { crop_span(width, ratio, column) } else { crop_box(height, width, ratio, row, column) };
        if fraction > config.threshold && (bbox.bottom - bbox.top) * (bbox.right - bbox.left) > 1 {
            return Ok(Some(bbox));
        }
    }
    // the map is so small or thin that no box fits: all of it is used
    Ok(None)
}

/// What one CrossNorm layer drew for one pass. It is a [`Rule`] itself: given the draw, mixing is a pure function of the map.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossNormDraw {
    /// Instance n takes the statistics of instance `partner[n]`. Empty: each instance takes its own.
    pub partner: Vec<usize>,
    /// Channel c takes the statistics of the partner's channel `channels[c]`; `None`: of its channel c.
    pub channels: Option<Vec<usize>>,
    /// The box that the partner's statistics are taken from; `None`: from all positions.
    pub style: Option<BoundingBox>,
    /// The box of the instance that is normalised and changed; `None`: all positions.
    pub content: Option<BoundingBox>,
    /// λ of y = λ·x + (1 − λ)·mixed; `None`: y = mixed.
    pub blend: Option<f64>,
}

impl CrossNormDraw {
    /// Draws for a map of shape (instances, height, width, channels).
    ///
    /// # Errors
    /// Returns an error where a crop is wanted and `beta` is not positive.
    pub fn sample(
        config: &CrossNormConfig,
        (instances, height, width, channels): (usize, usize, usize, usize),
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let (partner, shuffle) = match config.mode {
            Mode::TwoInstance => (permutation(instances, rng), config.channel_shuffle),
            Mode::OneInstance => (Vec::new(), true),
        };
        let channels = shuffle.then(|| permutation(channels, rng));
        let style = matches!(config.crop, Crop::Style | Crop::Both);
        let style = if style { draw_box(config, height, width, rng)? } else { None };
        let content = matches!(config.crop, Crop::Content | Crop::Both);
        let content = if content { draw_box(config, height, width, rng)? } else { None };
        Ok(Self { partner, channels, style, content, blend: config.blend })
    }

    /// Checks that the draw fits this many instances and channels.
    fn check(&self, instances: usize, channels: usize) -> Result<()> {
        let partner = (!self.partner.is_empty()).then_some(&self.partner);
        for (order, count, what) in [(partner, instances, "partners"), (self.channels.as_ref(), channels, "channels")] {
            let Some(order) = order else { continue };
            if order.len() != count || order.iter().any(|&i| i >= count) {
                bail!("CrossNorm: {what} {order:?} is not a choice among {count}")
            }
        }
        Ok(())
    }

    /// The partners' rows and channels of a matrix of statistics.
    fn theirs(&self, matrix: &Matrix) -> Result<Matrix> {
        let matrix = if self.partner.is_empty() { matrix.clone() } else { matrix.select_rows(&self.partner)? };
        self.channels.as_ref().map_or(Ok(matrix.clone()), |channels| matrix.select_columns(channels))
    }
}

impl Rule for CrossNormDraw {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        self.check(map.shape().instances, map.shape().channels)?;
        let (content, style) = (map.statistics_in(self.content)?, map.statistics_in(self.style)?);
        let std = |statistics: &Statistics| statistics.std(EPS);
        let scale = self.theirs(&std(&style)?)?.div(&std(&content)?)?;
        let bias = self.theirs(&style.mean)?;
        let (scale, bias) = match self.blend {
            // λ·x + (1 − λ)·(a·(x − μ) + μ′) is an affine map around μ too
            Some(blend) => (scale.affine(1. - blend, blend), content.mean.affine(blend, 0.).add(&bias.affine(1. - blend, 0.))?),
            None => (scale, bias),
        };
        for_mixing(Affine::new(content.mean, scale, bias).within(self.content), map, pass)
    }
}

/// The CrossNorm layer: a site of the network, and the identity unless the pass activates the site. [`Pass::with_draws`] gives
/// it a [`CrossNormDraw`].
///
/// ```
/// use candle_core::{DType, Device};
/// use sncn_core::layer::{BuildContext, CrossNorm, CrossNormConfig, Layer};
/// use sncn_core::{Pass, Seed, Vars};
///
/// # fn main() -> candle_core::Result<()> {
/// let vars = Vars::new(Seed::new(0), DType::F32, &Device::Cpu);
/// let cx = BuildContext::new(16, vars.builder());
/// let layer = CrossNorm::new(CrossNormConfig::default(), &cx)?;
/// let xs = Seed::new(1).normal((4, 8, 8, 16))?; // (N, H, W, C)
/// // in training one of the network's sites mixes; a plain training pass or an evaluation pass activates none
/// let mixed = layer.forward(&xs, &Pass::mixing(cx.sites(), 1, Seed::new(2)))?;
/// assert_eq!(mixed.dims(), xs.dims());
/// let same = layer.forward(&xs, &Pass::eval())?;
/// assert_eq!((same - &xs)?.abs()?.max_all()?.to_scalar::<f32>()?, 0.);
/// # Ok(())
/// # }
/// ```
pub struct CrossNorm {
    config: CrossNormConfig,
    site: usize,
}

impl CrossNorm {
    /// Builds the layer at the network's next site; it has no variables.
    ///
    /// # Errors
    /// Returns an error where `beta` is not positive, `threshold` not in 0..1 or `blend` not in 0..=1.
    pub fn new(config: CrossNormConfig, cx: &BuildContext) -> Result<Self> {
        config.check()?;
        Ok(Self { config, site: cx.next_site() })
    }
}

impl Rule for CrossNorm {
    fn rule(&self, map: &Instances<'_>, pass: &Pass) -> Result<Option<Affine>> {
        let &MapShape { instances, height, width, channels, .. } = map.shape();
        let draw = |rng: &mut _| {
            let who = mixing("crossnorm", pass, instances)?;
            let draw = CrossNormDraw::sample(&self.config, (who.len(), height, width, channels), rng)?;
            let is_alone = draw.partner.is_empty();
            let partner = if is_alone { Vec::new() } else { spread_partners(&who, &draw.partner, instances) };
            Ok(CrossNormDraw { partner, ..draw })
        };
        pass.draw(self.site, "crossnorm", draw)?.map_or(Ok(None), |draw: CrossNormDraw| draw.rule(map, pass))
    }
}
